#!/bin/sh
# Makes all that keeps strangers out of a mesh, in one folder: an authority, a certificate for
# each node, API keys and a key for gossip. What is there already is kept, so a node is added
# by naming it beside the others.
#
#   deploy/secrets.sh DIR NODE...
#   HOSTS=memory.example.org,10.0.0.9 deploy/secrets.sh DIR NODE...   # further names of all nodes
#   CONTAINERS=1 deploy/secrets.sh DIR NODE...   # readable by the users of containers that are given single
#                                                # files of DIR, which itself stays closed
#
#   ca.crt            what nodes and clients trust          ca.key   issues; keep it elsewhere, put it back to add a node
#   NODE.crt NODE.key one pair for each node
#   keys.json         the principals: peer, admin, agent, metrics (hashes only)
#   peer.key          the nodes' own key     admin.key agent.key metrics.key   for people, agents, Prometheus
#   gossip.key        encrypts gossip
set -eu
memd=${MEMD:-$(command -v memd || echo "$(cd "$(dirname "$0")/.." && pwd)/bin/memd")}
[ -x "$memd" ] || { echo "no memd: make build, or MEMD=/path/to/memd" >&2; exit 1; }
[ $# -ge 2 ] || { sed -n '2,/^set/s/^# \{0,1\}//p' "$0" | sed '$d' >&2; exit 2; }
dir=$1
shift
umask 077
mkdir -p "$dir"
[ -e "$dir/ca.crt" ] || "$memd" ca init --dir "$dir" >&2
hosts=$(printf '%s' "${HOSTS:-}" | tr ',' ' ')
for node in "$@"; do
	[ -e "$dir/$node.crt" ] && continue
	set -- --host "$node"
	for h in $hosts; do set -- "$@" --host "$h"; done
	"$memd" ca issue "$node" --dir "$dir" "$@" >&2
done
principal() { # NAME FILE FLAG...
	name=$1 file=$dir/$2
	shift 2
	[ -e "$file" ] && return
	"$memd" keys add "$name" --keys-file "$dir/keys.json" "$@" >"$file.new" 2>/dev/null
	mv "$file.new" "$file"
	echo "$file" >&2
}
principal peer peer.key --scopes peer,read # of no namespace: read is for memd status beside a node
principal admin admin.key --scopes admin --namespaces '*' --agents '*'
principal agent agent.key --scopes read,write --namespaces '*' --agents '*'
principal metrics metrics.key --scopes read
if [ ! -e "$dir/gossip.key" ]; then
	"$memd" keyring generate >"$dir/gossip.key"
	echo "$dir/gossip.key" >&2
fi
if [ -n "${CONTAINERS:-}" ]; then
	chmod 0700 "$dir"
	for f in "$dir"/*.key "$dir/keys.json"; do
		[ "$f" = "$dir/ca.key" ] || chmod 0444 "$f"
	done
fi

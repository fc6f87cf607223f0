#!/bin/sh
# Restarts the nodes of a mesh one after the other, each only when the mesh is whole: for a new
# version, a new configuration, a new kernel. Clients that repeat a write once, at another node
# and with the same Idempotency-Key, see no failure.
#
#   rolling-restart.sh COMMAND SERVER...
#
# COMMAND is run by sh with the server as $1, and returns when the node has been told to start
# again, e.g. 'ssh "${1%:*}" systemctl restart memd'. SERVER is host:port or a URL. The keys of
# the mesh come from the environment, as for every command of memd (MEMD_API_KEY_FILE,
# MEMD_TLS_CA …). MEMD names the binary, MEMD_WAIT the seconds that one step may take (120).
set -eu
: "${MEMD:=memd}" "${MEMD_WAIT:=120}"

[ $# -ge 2 ] || { sed -n '2,12s/^# \{0,1\}//p' "$0" >&2; exit 2; }
command=$1
shift

# whole SERVER: wait until it is ready and reaches every member.
whole() {
	end=$(($(date +%s) + MEMD_WAIT))
	until said=$("$MEMD" health --mesh --server "$1" 2>&1); do
		[ "$(date +%s)" -lt "$end" ] || { echo "$1: $said" >&2; echo "stopped: the mesh is not whole; nothing else was restarted" >&2; exit 1; }
		sleep 0.2
	done
}

for server; do whole "$server"; done
for server; do
	echo "restarting $server"
	sh -c "$command" sh "$server"
	whole "$server"
	for other; do whole "$other"; done
done
echo "all restarted"

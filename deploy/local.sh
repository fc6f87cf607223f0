#!/bin/sh
# Three nodes on this machine with everything that keeps strangers out: TLS, certificates
# between the nodes, API keys, encrypted gossip. Ends, and ends them, with Ctrl-C.
#
#   make build && deploy/local.sh [DIR]        # DIR keeps secrets and data; default: ./memd-local
set -eu
here=$(cd "$(dirname "$0")" && pwd)
memd=${MEMD:-$(dirname "$here")/bin/memd}
dir=${1:-memd-local}
port=${PORT:-9077} gossip=${GOSSIP:-7946}
MEMD=$memd "$here/secrets.sh" "$dir/secrets" n1 n2 n3
s=$dir/secrets
pids=
stop() {
	trap - INT TERM EXIT
	# shellcheck disable=SC2086 # several pids
	[ -z "$pids" ] || kill $pids 2>/dev/null || true
	wait
}
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
for i in 1 2 3; do
	"$memd" serve --name "n$i" --data-dir "$dir/n$i" \
		--http-addr "127.0.0.1:$((port + i - 1))" --gossip-addr "127.0.0.1:$((gossip + i - 1))" \
		--join "127.0.0.1:$gossip,127.0.0.1:$((gossip + 1)),127.0.0.1:$((gossip + 2))" --bootstrap-expect 3 \
		--tls-cert "$s/n$i.crt" --tls-key "$s/n$i.key" --tls-ca "$s/ca.crt" \
		--keys-file "$s/keys.json" --api-key-file "$s/peer.key" --gossip-key-file "$s/gossip.key" \
		>>"$dir/n$i.log" 2>&1 &
	pids="$pids $!"
done
for i in 1 2 3; do
	tries=0
	until "$memd" health --server "https://127.0.0.1:$((port + i - 1))" --tls-ca "$s/ca.crt" >/dev/null 2>&1; do
		tries=$((tries + 1))
		[ $tries -lt 300 ] || { echo "n$i is not ready; see $dir/n$i.log" >&2; exit 1; }
		sleep 0.1
	done
done
cat <<END
three nodes are ready: https://127.0.0.1:$port, :$((port + 1)), :$((port + 2)); logs in $dir/n1.log …

    export MEMD_SERVER=https://127.0.0.1:$port,https://127.0.0.1:$((port + 1)),https://127.0.0.1:$((port + 2))
    export MEMD_TLS_CA=$s/ca.crt MEMD_API_KEY_FILE=$s/admin.key
    $memd status
    $memd store --title 'Deploy day' --content 'We ship on Tuesdays'
    $memd recall 'when do we ship'
END
wait

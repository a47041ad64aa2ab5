#!/bin/bash
# Many connections on one machine: several nodes on one Redis, connections spread over all of them, and every one of them
# gets what is published once.
#
#   NODES=4 CONNECTIONS=240000 loadtest/scale.sh
#
# Needs a limit of open files above CONNECTIONS/PROCESSES for the generator's processes (1 without it), and above CONNECTIONS/NODES
# for each node; go, redis-server. REACTORS (of each node), WORKERS (receiving threads of each process), MESSAGES and OUT (a folder
# for logs and the JSON report) are taken from the environment; with BIN set, what is there is not built.
set -eu
cd "$(dirname "$0")/.."
nodes=${NODES:-4} n=${CONNECTIONS:-16000} reactors=${REACTORS:-2} workers=${WORKERS:-2} messages=${MESSAGES:-20} out=${OUT:-out/scale} bin=${BIN:-} processes=${PROCESSES:-1}
mkdir -p "$out"
if [ -z "$bin" ]; then
	bin=bin
	mkdir -p bin
	go build -o bin/ ./loadtest/sluice-load
	go build -o bin/sluice ./gateway
fi
ulimit -n "$(ulimit -Hn)"

started=
trap 'for pid in $started; do kill "$pid" 2>/dev/null || true; done' EXIT INT TERM
redis-server --port 16398 --bind 127.0.0.1 --save '' --appendonly no >"$out/redis.log" &
started="$started $!"
until redis-cli -p 16398 ping >/dev/null 2>&1; do sleep 0.1; done
also=
for i in $(seq 0 $((nodes - 1))); do
	"$bin/sluice" --dev --redis redis://127.0.0.1:16398 --listen 127.0.0.1:$((18000 + i)) --admin 127.0.0.1:$((18100 + i)) \
		--reactors "$reactors" --log-level warn >"$out/node$i.log" 2>&1 &
	eval "node$i=$!"
	started="$started $!"
	[ "$i" = 0 ] || also="$also --also ws://127.0.0.1:$((18000 + i))/ws?channel={channel}"
done
for i in $(seq 0 $((nodes - 1))); do
	until curl -fs "http://127.0.0.1:$((18100 + i))/readyz" >/dev/null; do sleep 0.1; done
done
# sample keeps what a node had when it had the most connections.
sample() {
	most=0
	while kill -0 "$2" 2>/dev/null; do
		now=$(curl -fs "http://127.0.0.1:$((18100 + $1))/metrics" | awk '$1 == "sluice_connections" { print $2 }') || now=0
		if [ "${now:-0}" -gt "$most" ] 2>/dev/null; then
			most=$now
			awk -v n="$now" '$1 == "RssAnon:" { anon = $2 } $1 == "Threads:" { threads = $2 } END { printf "%d connections, RssAnon %d MB, %d threads\n", n, anon/1024, threads }' \
				"/proc/$2/status" >"$out/node$1.most"
		fi
		sleep 1
	done
}
for i in $(seq 0 $((nodes - 1))); do
	eval "pid=\$node$i"
	sample "$i" "$pid" &
	started="$started $!"
done
# shellcheck disable=SC2086
"$bin/sluice-load" fanout -n "$n" --url 'ws://127.0.0.1:18000/ws?channel={channel}' $also --workers "$workers" --processes "$processes" --concurrency 1024 \
	--messages "$messages" --for 120s --quiet 30s --timeout 60s --redis redis://127.0.0.1:16398 --json "$out/scale.json"
for i in $(seq 0 $((nodes - 1))); do
	printf 'node %s at its most: %s\n' "$i" "$(cat "$out/node$i.most")"
done

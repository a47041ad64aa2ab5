#!/bin/sh
# Fan-out of one server beside the bare yardstick, in one go, so that all of it sees the same machine and the same noise.
#
#   loadtest/fanout.sh                              the yardstick alone
#   loadtest/fanout.sh URL PID REDIS [PREFIX]       and a running server: where to subscribe, its process, the Redis it listens to
#
# N (subscribers), SECONDS_EACH and OUT (a folder for the JSON reports) are taken from the environment. Needs cc, go, redis-server.
set -eu
cd "$(dirname "$0")/.."
n=${N:-10000} each=${SECONDS_EACH:-5} out=${OUT:-out/fanout}
mkdir -p bin "$out"
cc -O2 -o bin/bare loadtest/yardstick/bare.c
go build -o bin/sluice-load ./loadtest/sluice-load

started=
trap 'for pid in $started; do kill "$pid" 2>/dev/null || true; done' EXIT INT TERM
redis-server --port 16399 --bind 127.0.0.1 --save '' --appendonly no >"$out/redis.log" &
started="$started $!"
until redis-cli -p 16399 ping >/dev/null 2>&1; do sleep 0.1; done

# measure NAME BURST URL PID REDIS PREFIX
measure() {
	printf '\n== %s, %s in flight\n' "$1" "$2"
	bin/sluice-load fanout -n "$n" --for "${each}s" --burst "$2" --url "$3" --pid "$4" --redis "$5" --prefix "$6" \
		--json "$out/$1-$2.json" 2>/dev/null
}

for burst in 1 32; do
	flag=; [ "$burst" = 1 ] || flag=--burst
	# shellcheck disable=SC2086
	bin/bare --listen $((9100 + burst)) --redis 127.0.0.1:16399 --channel sluice:news $flag &
	bare=$!
	started="$started $bare"
	sleep 0.3
	measure yardstick "$burst" "ws://127.0.0.1:$((9100 + burst))/" "$bare" redis://127.0.0.1:16399 sluice:
	kill "$bare"
	if [ $# -ge 3 ]; then
		measure server "$burst" "$1" "$2" "$3" "${4:-sluice:}"
	fi
done

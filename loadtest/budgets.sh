#!/bin/bash
# The budgets of the hot path, measured in a row: one table of what is allowed and what it came to. Some ten minutes on a
# machine that does nothing else; figures of a busy one mean little, but for those that are ratios of the same run.
#
#   loadtest/budgets.sh                 everything
#   loadtest/budgets.sh memory rest     some of: memory, rest, gc, fanout, echo, stalled
#
# N (idle connections, above N and N/8 of which a process may open files), ROUNDS (of fanout, echo, stalled: medians are shown) and
# OUT (a folder for reports and logs) are taken from the environment. Needs cc, go, jq, redis-server; fanout, echo and stalled
# are those of loadtest/compare.
set -eu
cd "$(dirname "$0")/.."
n=${N:-15000} rounds=${ROUNDS:-3} out=${OUT:-out/budgets}
[ $# -gt 0 ] || set -- memory rest gc fanout echo stalled
mkdir -p bin "$out"
ulimit -n "$(ulimit -Hn)"
go build -trimpath -o bin/sluice ./gateway
go build -o bin/sluice-load ./loadtest/sluice-load

redis= node=
end() {
	[ -z "$node" ] || kill "$node" 2>/dev/null || true
	[ -z "$redis" ] || kill "$redis" 2>/dev/null || true
}
trap end EXIT
redis-server --port 16397 --bind 127.0.0.1 --save '' --appendonly no >"$out/redis.log" &
redis=$!
until redis-cli -p 16397 ping >/dev/null 2>&1; do sleep 0.1; done

# server and client are what stands before a node and the generator: taskset, where each is to have a core of its own.
server= client=

# load NAME SCENARIO FLAG…: a run of sluice-load against a node that has just been started. Where memory is what counts its
# metrics are not read meanwhile, which leaves garbage of its own.
metrics='--metrics http://127.0.0.1:16301/metrics'
load() {
	local report="$out/$1.json"
	shift
	$server bin/sluice --dev --redis redis://127.0.0.1:16397 --listen 127.0.0.1:16300 --admin 127.0.0.1:16301 --log-level warn >>"$out/node.log" 2>&1 &
	node=$!
	until curl -fs http://127.0.0.1:16301/readyz >/dev/null; do sleep 0.1; done
	sleep 1 # for its own storm of starting to pass
	$client bin/sluice-load "$@" --pid "$node" --json "$report" >"${report%.json}.txt" 2>/dev/null ||
		echo "faults: see ${report%.json}.txt" >&2
	kill "$node"
	wait "$node" || true
	node=
}

# compare NAME PEERS SCENARIOS: rounds of loadtest/compare.
compare() {
	go run ./loadtest/compare --no-write --out out/compare --peers "$2" --scenarios "$3" --rounds "$rounds" >"$out/$1.txt" 2>&1
	cp out/compare/result.json "$out/$1.json"
}

# median FILE PEER KEY: of a figure of loadtest/compare.
median() { jq -r --arg peer "$2" --arg key "$3" '[.peers[] | select(.name == $peer) | .figures[][$key] | select(. != null)] | sort | .[length/2 | floor] // "nan"' "$out/$1.json"; }

line() { printf '%-74s %12s %12s\n' "$1" "$2" "$3"; }
bytes() { jq -r '.memory.anon_per_connection | round | "\(.) B"' "$out/$1.json"; }
ratio() { awk -v a="$1" -v b="$2" 'BEGIN { printf "%.2f", a/b }'; }

plain='ws://127.0.0.1:16300/ws?channel={channel}'
line '' budget measured
for part; do
	case $part in
	memory)
		load plain idle -n "$n" --url "$plain"
		load half idle -n "$((n / 2))" --url "$plain"
		load deflate idle -n "$n" --url "$plain" --header 'Sec-WebSocket-Extensions: permessage-deflate'
		load v1 idle -n "$n" --url "$plain" --header 'Sec-WebSocket-Protocol: sluice.v1' --greets
		load centrifuge idle -n "$n" --url ws://127.0.0.1:16300/connection/websocket --greets --hello '{"id":1,"connect":{}}
{"id":2,"subscribe":{"channel":"{channel}"}}'
		load sse idle -n "$n" --url 'http://127.0.0.1:16300/sse?channel={channel}'
		line "memory per idle connection of $n: plain" '<= 1024 B' "$(bytes plain)"
		line '… each beyond the first half' '' "$(jq -rs '(.[0].memory.anon_per_connection*.[0].memory.open - .[1].memory.anon_per_connection*.[1].memory.open) / (.[0].memory.open-.[1].memory.open) | round | "\(.) B"' "$out/plain.json" "$out/half.json")"
		line '… plain, deflate agreed on' '<= 1024 B' "$(bytes deflate)"
		line '… sluice.v1' '<= 1024 B' "$(bytes v1)"
		line '… centrifuge, JSON' '<= 1024 B' "$(bytes centrifuge)"
		line '… event stream' '<= 1024 B' "$(bytes sse)"
		;;
	rest)
		load rest idle -n "$n" --for 50s --url "$plain"
		line "a node at rest, $n connections, pings every 25 s" '< 2 %' "$(jq -r '.memory | .server_cpu_while_held_s/.held_s*100 | "\(.*100 | round/100) %"' "$out/rest.json")"
		;;
	gc)
		# A collection waits for the threads that run: where others compete for their core that is the others' time slices.
		server='taskset -c 0' client='taskset -c 1'
		# shellcheck disable=SC2086
		load gc fanout $metrics -n "$n" --workers 1 --burst 32 --for 20s --url "$plain" --redis redis://127.0.0.1:16397
		# shellcheck disable=SC2086
		load gc-one fanout $metrics -n "$n" --workers 1 --for 20s --url "$plain" --redis redis://127.0.0.1:16397
		# Without the threads that a node has to spare, for which the kernel may take the reactor's core for a while.
		server='env GOMAXPROCS=1 taskset -c 0'
		# shellcheck disable=SC2086
		load gc-alone fanout $metrics -n "$n" --workers 1 --burst 32 --for 20s --url "$plain" --redis redis://127.0.0.1:16397
		server= client=
		for run in gc gc-one gc-alone; do
			case $run in
			gc) what='in bursts' ;;
			gc-one) what='one at a time' ;;
			gc-alone) what='in bursts, GOMAXPROCS=1' ;;
			esac
			line "pauses of the garbage collector above 0.92 ms, $n subscribers, $what" 0 \
				"$(jq -r '.inside.spreads[] | select(.name == "go_sched_pauses_total_gc_seconds") | "\(.above) of \(.count)"' "$out/$run.json")"
		done
		;;
	fanout)
		compare fanout sluice,bare-c-loop one,burst
		line '10,000 subscribers, one at a time: CPU against the bare C loop' '<= 1.15' "$(ratio "$(median fanout Sluice one)" "$(median fanout 'bare C loop' one)")"
		line '… in bursts of 32' '<= 1.30' "$(ratio "$(median fanout Sluice burst)" "$(median fanout 'bare C loop' burst)")"
		line '… deliveries a second' '>= 1500000' "$(median fanout Sluice burst-rate | awk '{ printf "%d", $1 }')"
		;;
	echo)
		compare echo sluice,gorilla,gws echo1,echo16,idle
		for key in echo1 echo16 handshake; do
			line "CPU for each ${key/#echo16/echo, 16 in flight}, against the better of gws, gorilla" '< 1.00' \
				"$(ratio "$(median echo Sluice $key)" "$(printf '%s\n' "$(median echo gorilla $key)" "$(median echo gws $key)" | sort -g | head -1)")"
		done
		;;
	stalled)
		compare stalled sluice stalled
		line '500 of 2,000 stalled: what the others get' '>= 95 %' "$(median stalled Sluice stalled-share | awk '{ printf "%.1f %%", $1 }')"
		line '… growth of memory' 'bounded' "$(median stalled Sluice stalled-growth | awk '{ printf "%.0f MiB", $1/1048576 }')"
		;;
	*)
		echo "budgets.sh: there is no part $part" >&2
		exit 2
		;;
	esac
done

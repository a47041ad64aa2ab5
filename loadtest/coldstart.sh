#!/usr/bin/env bash
# How long a node takes from its start until /readyz says 200, and what it weighs then: N times, a line for each of them, then the median.
#
#   loadtest/coldstart.sh [N] [flags of the node …]        N=10 and --dev, on the embedded broker
#   loadtest/coldstart.sh 20 --redis redis://127.0.0.1:6379/0
#
# PROGRAM is bin/sluice, LISTEN and ADMIN are where it listens.
set -euo pipefail

times=${1:-10}
[ $# -gt 0 ] && shift
program=${PROGRAM:-bin/sluice}
port=$((20000 + RANDOM % 10000))
listen=${LISTEN:-127.0.0.1:$port}
admin=${ADMIN:-127.0.0.1:$((port + 1))}

# ready asks without starting a program, which would take longer than the answer. It is a process of its own, because a connection that
# is refused ends one.
ready() (
  exec 3<>"/dev/tcp/${admin%:*}/${admin##*:}" || exit 1
  printf 'GET /readyz HTTP/1.0\r\nHost: localhost\r\n\r\n' >&3
  read -r answer <&3 && [[ $answer == *" 200 "* ]]
) 2>/dev/null

for ((i = 0; i < times; i++)); do
  begin=$EPOCHREALTIME
  "$program" --dev --listen "$listen" --admin "$admin" "$@" >/dev/null 2>&1 &
  pid=$!
  until ready; do
    kill -0 "$pid" 2>/dev/null || { echo "the node has ended: is $listen or $admin taken?" >&2; exit 1; }
  done
  end=$EPOCHREALTIME
  anon=$(awk '/RssAnon/ {print $2}' "/proc/$pid/status")
  kill "$pid" && wait "$pid" || { echo "the node has ended by itself: is $listen or $admin taken?" >&2; exit 1; }
  echo "$(((${end/./} - ${begin/./}) / 100)) $anon"
done | sort -n | awk '{printf "%.1f ms  %d KiB of memory (RssAnon)\n", $1 / 10, $2; all[NR] = $1 / 10} END {printf "median %.1f ms, least %.1f, most %.1f\n", all[int((NR + 1) / 2)], all[1], all[NR]}'

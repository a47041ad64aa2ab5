#!/usr/bin/env bash
# Runs scripts of this folder, and leaves a report of each in out/k6.
#
#   loadtest/k6/load.sh SCRIPT|all [flags of k6, -e NAME=value above all]
#
# k6 is built first where bin/k6 is not the version below. A server is started, on free ports and with a broker of its own, where
# none is named (URL=ws://… REDIS=redis://…) and none listens where `make run` has it; it is ended when the scripts are done.
# Exit status: that of k6: 0 all thresholds held, 99 one did not, others: the run could not be done.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

version=v1.8.1
out=out/k6
export K6_NO_USAGE_REPORT=true

say() { printf 'load: %s\n' "$*"; }

server=
end() {
  if [ -n "$server" ]; then
    kill "$server" 2>/dev/null || true
    wait "$server" 2>/dev/null || true # it has ended, whichever way
  fi
}
trap end EXIT
trap 'exit 130' INT TERM

# build_k6 takes minutes, and says that it goes on.
build_k6() {
  if bin/k6 version 2>/dev/null | grep -q "^k6 $version "; then return; fi
  say "building bin/k6 $version, once: about four minutes of two cores, and a few hundred MB in Go's caches"
  local log=$out/k6-build.log began=$SECONDS
  GOBIN="$PWD/bin" go install "go.k6.io/k6@$version" >"$log" 2>&1 &
  local build=$!
  while kill -0 "$build" 2>/dev/null; do
    sleep 1
    (((SECONDS - began) % 10)) || say "still building k6: $((SECONDS - began)) s, $(wc -l <"$log") modules fetched"
  done
  wait "$build" || { cat "$log"; say "k6 could not be built: see above"; exit 2; }
  say "built $(bin/k6 version)"
}

# field is a field of the first log line of the server's with that message.
field() { sed -n "/\"msg\":\"$1\"/{s/.*\"$2\":\"\([^\"]*\)\".*/\1/p;q;}" "$out/server.log" 2>/dev/null || true; }

# start_server starts bin/sluice on ports that the system chooses.
start_server() {
  say "no server at $1: starting bin/sluice --dev on free ports, with the embedded broker; its log is $out/server.log"
  make build
  rm -f "$out/server.log" # an earlier one's would be read
  bin/sluice --dev --listen 127.0.0.1:0 --admin 127.0.0.1:0 --redis embedded://127.0.0.1:0 >"$out/server.out" 2>"$out/server.log" &
  server=$!
  until [ -n "$(field 'connected to Redis' redis)" ]; do
    kill -0 "$server" 2>/dev/null || { cat "$out/server.log"; say "bin/sluice did not start: see above"; exit 2; }
    sleep 0.1
  done
  URL=ws://$(field serving listen)/ws ADMIN=http://$(field serving admin) REDIS=redis://$(field 'connected to Redis' redis)
  export URL ADMIN REDIS
}

# listens is whether a TCP port of this machine takes connections.
listens() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# noise is what k6 writes that helps nobody, some of it hundreds of times.
noise='k6/experimental/redis has been deprecated\|redis: connection pool: failed to dial\|was stopped because the VU iteration was interrupted'

# run_script runs one script, with k6's dashboard beside our report. Ctrl-C ends k6, which still reports; what k6 writes to must outlive it.
run_script() {
  local script=$1
  shift
  printf '\n'
  say "$script"
  rm -f "$out/$script.html" "$out/$script.json" "$out/$script-k6.html" # what is there afterwards is this run's
  K6_WEB_DASHBOARD=true K6_WEB_DASHBOARD_PORT=-1 K6_WEB_DASHBOARD_PERIOD=1s K6_WEB_DASHBOARD_EXPORT="$out/$script-k6.html" OUT=$out \
    bin/k6 run --no-color "$@" "loadtest/k6/$script.js" 2> >(trap '' INT; grep -v -e "$noise" >&2)
}

script=${1:?"a script is wanted: all, or one of $(cd loadtest/k6 && echo *.js)"}
shift
script=${script%.js}
[ "$script" = all ] || [ -f "loadtest/k6/$script.js" ] || { say "there is no loadtest/k6/$script.js"; exit 2; }
mkdir -p bin "$out"
build_k6
if [ -z "${URL:-}" ] && [[ " $* " != *" URL="* ]] && ! listens 8000; then start_server ws://127.0.0.1:8000; fi

if [ "$script" != all ]; then
  run_script "$script" "$@"
  exit
fi
status=0
for file in loadtest/k6/*.js; do
  name=$(basename "$file" .js) short=()
  [ "$name" != soak ] || short=(-e FOR=30s -e RAMP=5s -e LIFE=10s -e EVERY=1s)
  code=0
  run_script "$name" "${short[@]}" "$@" || code=$?
  case $code in
    0) say "$name: all thresholds held" ;;
    99) say "$name: a threshold did not hold"; status=99 ;;
    *) say "$name: the run could not be done"; exit "$code" ;;
  esac
done
say "reports: $(echo $out/*.html | sed 's/[^ ]*-k6.html//g')"
exit "$status"

import exec from 'k6/execution';

// now is the time in milliseconds, with fractions, on the same clock as the
// timestamp of WebSocket events; Date.now() has none. All VUs of a run agree on it.
let offset;

export function now() {
  if (offset === undefined) {
    // The moment at which Date.now() changes is known exactly. This takes a millisecond, once for each VU.
    const before = Date.now();
    let at;
    while ((at = Date.now()) === before);
    offset = at - exec.instance.currentTestRunDuration;
  }
  return offset + exec.instance.currentTestRunDuration;
}

// sinceScenario is how long the current scenario has run, in seconds.
export function sinceScenario() {
  return (Date.now() - exec.scenario.startTime) / 1000;
}

// pause resolves after so many milliseconds; at once where there are none.
export function pause(ms) {
  return ms <= 0 ? Promise.resolve() : new Promise((resolve) => setTimeout(resolve, ms));
}

import exec from 'k6/execution';
import { now, pause } from './clock.js';
import { encode } from './payload.js';

// For how long, in milliseconds, nothing may be published before the run is given up.
const patience = 15000;

// publish sends rate messages a second for so many seconds, to the channels in
// turn, then one to each that says that this was all. Each is due at a time of its
// own, and carries that: who publishes late makes the latency longer, not the rate
// lower. send(channel, payload, n) is how; note(late, error) is told of each. What
// failed is sent again only with retry, which is for a send that may be repeated.
export async function publish({ run, channels, rate, seconds, size, send, note, retry = false }) {
  const begun = now(), total = Math.round(rate * seconds);
  let failing; // since when
  const give = async (channel, message, again = retry) => {
    for (;;) {
      const late = now() - message.at;
      try {
        await send(channel, encode(message, size), message.n);
        note(late);
        failing = undefined;
        return;
      } catch (e) {
        note(late, e);
        failing = failing === undefined ? now() : failing;
        if (now() - failing > patience) exec.test.abort(`nothing could be published for ${patience / 1000} s: ${e}`);
        if (!again) return;
        await pause(200);
      }
    }
  };
  for (let i = 0; i < total; i++) {
    const at = begun + (i * 1000) / rate;
    await pause(at - now());
    await give(channels[i % channels.length], { run, n: Math.floor(i / channels.length), at, begun });
  }
  for (let i = 0; i < channels.length; i++) {
    const n = Math.floor((total - i - 1) / channels.length) + 1;
    await give(channels[i], { run, n, at: now(), begun, end: true }, true);
  }
}

import { open, handshakes } from './connection.js';
import { count, over, partOf, time } from './figures.js';
import { decode } from './payload.js';
import { Sequence } from './sequence.js';

// subscriptions are the figures that follow needs; limits are those of the delivery.
export const subscriptions = (...limits) => ({
  delivery: over(time('from when it was due to the subscriber', ...limits)),
  delivered: count('messages delivered', 'count>0'),
  missing: count('messages missing', 'count==0'),
  duplicate: count('messages that came twice', 'count==0'),
  late: count('messages out of order', 'count==0'),
  altered: count('messages altered, or on a wrong channel', 'count==0'),
  cut: count('connections that were cut', 'count==0'),
  ...handshakes(),
});

// follow subscribes to a channel of publisher.js' and counts what comes, and what
// does not. It resolves when the publisher has said that this was all, or after
// life milliseconds. span is how long the publisher publishes, in seconds; of the
// latencies one in sample is kept.
export function follow({ settings, run, f, turn, channel, life, span, sample = 1 }) {
  return new Promise((resolve) => {
    let seen, since, timer;
    const connection = open({
      settings, f, turn, channels: [channel],
      opened: (ws, at) => { since = at; },
      message: (data, at) => {
        const m = decode(data, run);
        if (m === null) return f.altered.add(1);
        // Who was there before the first message has to get that one, too.
        if (seen === undefined) seen = new Sequence(since < m.begun ? 0 : undefined);
        if (m.end) {
          seen.end(m.n);
          return connection.close();
        }
        seen.take(m.n);
        f.delivered.add(1);
        if (sample === 1 || m.n % sample === 0) f.delivery.add(at - m.at, partOf((m.at - m.begun) / 1000 / span));
      },
      closed: ({ asked, opened }) => {
        clearTimeout(timer);
        if (opened && !asked) f.cut.add(1);
        if (seen !== undefined) {
          f.missing.add(seen.missing);
          f.duplicate.add(seen.duplicate);
          f.late.add(seen.late);
        }
        resolve(opened);
      },
    });
    timer = setTimeout(connection.close, life);
  });
}

// Slow consumers: some clients read far less than they are sent, for a while. The
// others must not feel it, and the slow ones must not stay and cost memory.
import exec from 'k6/execution';
import ws from 'k6/ws';
import { sleep } from 'k6';
import { pause, sinceScenario } from './lib/clock.js';
import { count, figures, share, time } from './lib/figures.js';
import { options as common } from './lib/options.js';
import { publish as pace } from './lib/publisher.js';
import { Redis } from './lib/redis.js';
import { settings } from './lib/settings.js';
import { follow, subscriptions } from './lib/subscriber.js';
import { report } from './lib/summary.js';
import { address, channelName, quiet, reach } from './lib/target.js';

// READ is how many messages a second a slow client reads. POLICY is the channel's: disconnect, or drop or latest, which keep slow clients.
const s = settings({ HEALTHY: 10, PER_VU: 5, SLOW: 5, RATE: 50, SIZE: 16384, READ: 2, RAMP: '3s', FOR: '20s', P95: 1000, POLICY: 'disconnect' });
const tail = 10; // seconds after the last message in which it may still come
const codes = ['none', '1008', '1011', '1012', '1013', 'other'];

const f = figures({
  ...subscriptions(`p(95)<${s.P95}`),
  ended: share('slow clients that were closed', s.POLICY === 'disconnect' ? 'rate>0.95' : 'rate==0'),
  endedWith: { ...count('how connections of slow clients ended'), by: 'code', values: codes },
  endedAfter: time('from when it was slow until it knew'),
  read: count('messages that slow clients read', 'count>0'),
  unpublished: count('messages that could not be published', 'count==0'),
});

export const options = common(f, {
  healthy: {
    exec: 'subscribe', executor: 'ramping-vus', startVUs: 0, gracefulStop: '30s',
    stages: [{ duration: `${s.RAMP}s`, target: Math.ceil(s.HEALTHY / s.PER_VU) }, { duration: `${s.FOR + 2}s`, target: Math.ceil(s.HEALTHY / s.PER_VU) }],
  },
  slow: { exec: 'crawl', executor: 'per-vu-iterations', vus: s.SLOW, iterations: 1, maxDuration: `${s.RAMP + s.FOR + 60}s` },
  publisher: { exec: 'publish', executor: 'per-vu-iterations', vus: 1, iterations: 1, startTime: `${s.RAMP + 1}s`, maxDuration: `${s.FOR + 60}s` },
});

export function setup() {
  return reach(s);
}

let done = false; // this VU's subscribers have got all

export async function subscribe(run) {
  const first = exec.scenario.iterationInTest * s.PER_VU;
  if (!done) {
    const life = (s.RAMP + s.FOR + tail - sinceScenario()) * 1000;
    await Promise.all(Array.from({ length: Math.min(s.PER_VU, s.HEALTHY - first) }, (_, i) =>
      follow({ settings: s, run, f, turn: first + i, channel: channelName(s, run, 0), life, span: s.FOR })));
    done = true;
  }
  await pause((s.RAMP + s.FOR + 2.5 - sinceScenario()) * 1000); // until k6 starts no further iteration
}

// crawl is a slow client. k6/websockets reads whatever comes into memory, however
// long the script takes; k6/ws reads no further while a handler sleeps, which is what a slow client does.
export function crawl(run) {
  let begun, asked = false, code;
  // For a quarter of the run it is as fast as the others, then slow; when all is over it wakes up, and reads what is there.
  const from = s.RAMP + 1 + s.FOR / 4, until = s.RAMP + s.FOR;
  ws.connect(address(s, exec.vu.idInTest, [channelName(s, run, 0)]), quiet, (socket) => {
    socket.on('message', (text) => {
      const slow = sinceScenario() >= from && sinceScenario() < until;
      if (slow && begun === undefined) begun = Date.now();
      f.read.add(1);
      if (/"end":true/.test(text.slice(0, 200))) {
        asked = true;
        socket.close();
      } else if (slow) {
        sleep(1 / s.READ);
      }
    });
    socket.on('error', () => {}); // cut without a close frame
    socket.on('close', (given) => { code = given === 1001 ? 'none' : String(given); }); // k6/ws says 1001 where there was no close frame
    socket.setTimeout(() => {
      asked = true;
      socket.close();
    }, (until + tail - sinceScenario()) * 1000);
  });
  f.ended.add(!asked);
  if (asked) return;
  f.endedWith.add(1, { code: codes.includes(code) ? code : 'other' });
  if (begun !== undefined) f.endedAfter.add(Date.now() - begun);
}

export async function publish(run) {
  const redis = new Redis(s);
  await pace({
    run, channels: [channelName(s, run, 0)], rate: s.RATE, seconds: s.FOR, size: s.SIZE,
    send: (channel, payload) => redis.publish(channel, payload),
    note: (late, error) => { if (error) f.unpublished.add(1); },
  });
}

export const handleSummary = report({
  script: 'slow', title: 'Slow consumers', settings: s, figures: f,
  question: 'Do clients that read too slowly harm the others, and what becomes of them?',
  notes: [
    'Deliveries are those of the healthy clients. In the first quarter of the run nobody is slow: compare.',
    'A slow client learns that it was closed (1013) when it has read what the kernel still holds for it, and without a close frame (none) where the server would not wait for that: the time until it knew is the client’s, not the server’s.',
    'sluice_slow_consumers_total on the admin port counts them when it happens.',
  ],
});

// Connect storm: everybody comes at once, as after a deployment or a train that
// leaves a tunnel. The rate of new connections climbs, stays, and falls.
import { now, pause } from './lib/clock.js';
import { open, handshakes } from './lib/connection.js';
import { count, figures, ofK6, over, partOf, time } from './lib/figures.js';
import { options as common } from './lib/options.js';
import { settings } from './lib/settings.js';
import { report } from './lib/summary.js';
import { channelName, reach } from './lib/target.js';
import exec from 'k6/execution';

const s = settings({ RATE: 50, RAMP: '5s', FOR: '10s', HOLD: '5s', CHANNELS: 10, P95: 1000 });
const seconds = 2 * s.RAMP + s.FOR;
const held = Math.ceil(s.RATE * (s.HOLD + 1)); // connections at one time

const f = figures({
  ...handshakes(`p(95)<${s.P95}`),
  handshake: over(time('from dialling to open (subscribed)', `p(95)<${s.P95}`)),
  arrived: over(count('connections asked for', 'count>0')),
  cut: count('connections that were cut', 'count==0'),
  goodbye: time('from closing to closed'),
  dropped: ofK6('dropped_iterations', count('connections that k6 was too slow to ask for', 'count==0')),
});

export const options = common(f, {
  storm: {
    exec: 'connect', executor: 'ramping-arrival-rate', startRate: 0, timeUnit: '1s', preAllocatedVUs: held, maxVUs: 2 * held, gracefulStop: `${s.HOLD + 30}s`,
    stages: [{ duration: `${s.RAMP}s`, target: s.RATE }, { duration: `${s.FOR}s`, target: s.RATE }, { duration: `${s.RAMP}s`, target: 0 }],
  },
});

export function setup() {
  return reach(s);
}

export async function connect(run) {
  const turn = exec.scenario.iterationInTest;
  const part = partOf((Date.now() - exec.scenario.startTime) / 1000 / seconds);
  f.arrived.add(1, part);
  await new Promise((resolve) => {
    let closing;
    const connection = open({
      settings: s, f, turn, channels: [channelName(s, run, turn % s.CHANNELS)], tags: part,
      opened: async () => {
        await pause(s.HOLD * 1000);
        closing = now();
        connection.close();
      },
      closed: ({ asked, opened }) => {
        if (opened && !asked) f.cut.add(1);
        if (asked) f.goodbye.add(now() - closing);
        resolve();
      },
    });
  });
}

export const handleSummary = report({
  script: 'storm', title: 'Connect storm', settings: s, figures: f,
  question: 'How many new connections a second does it take, and how long does each wait until it is subscribed?',
  notes: [
    'Open means subscribed: the server answers the handshake when Redis has confirmed the subscription.',
    'A connection that k6 was too slow to ask for is k6’s fault: give it more cores, or a smaller RATE or HOLD.',
  ],
});

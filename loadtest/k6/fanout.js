// Steady fan-out: subscribers come, then one service publishes at a steady rate,
// and every subscriber says how long each message took and whether one is missing.
import exec from 'k6/execution';
import { pause, sinceScenario } from './lib/clock.js';
import { count, figures, time } from './lib/figures.js';
import { options as common } from './lib/options.js';
import { publish as pace } from './lib/publisher.js';
import { Redis } from './lib/redis.js';
import { settings } from './lib/settings.js';
import { follow, subscriptions } from './lib/subscriber.js';
import { report } from './lib/summary.js';
import { channelName, reach } from './lib/target.js';

const s = settings({ SUBSCRIBERS: 200, PER_VU: 10, CHANNELS: 4, RATE: 20, SIZE: 128, RAMP: '5s', FOR: '20s', P95: 1000 });
const tail = 10; // seconds after the last message in which it may still come

const f = figures({
  ...subscriptions(`p(95)<${s.P95}`),
  unpublished: count('messages that could not be published', 'count==0'),
  behind: time('how late the publisher was', `p(95)<${s.P95}`),
});

export const options = common(f, {
  subscribers: {
    exec: 'subscribe', executor: 'ramping-vus', startVUs: 0, gracefulStop: '30s',
    stages: [{ duration: `${s.RAMP}s`, target: Math.ceil(s.SUBSCRIBERS / s.PER_VU) }, { duration: `${s.FOR + 2}s`, target: Math.ceil(s.SUBSCRIBERS / s.PER_VU) }],
  },
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
    await Promise.all(Array.from({ length: Math.min(s.PER_VU, s.SUBSCRIBERS - first) }, (_, i) =>
      follow({ settings: s, run, f, turn: first + i, channel: channelName(s, run, (first + i) % s.CHANNELS), life, span: s.FOR })));
    done = true;
  }
  await pause((s.RAMP + s.FOR + 2.5 - sinceScenario()) * 1000); // until k6 starts no further iteration
}

export async function publish(run) {
  const redis = new Redis(s);
  const channels = Array.from({ length: s.CHANNELS }, (_, i) => channelName(s, run, i));
  await pace({
    run, channels, rate: s.RATE, seconds: s.FOR, size: s.SIZE,
    send: (channel, payload) => redis.publish(channel, payload),
    note: (late, error) => {
      f.behind.add(late);
      if (error) f.unpublished.add(1);
    },
  });
}

export const handleSummary = report({
  script: 'fanout', title: 'Steady fan-out', settings: s, figures: f,
  question: 'How long does a published message take to its subscribers at a steady rate, and does each get every one?',
  notes: [
    'A delivery is measured from the moment the message was due, so that a publisher or a Redis that is late counts, until k6 has read it from the socket.',
    'k6 needs much more processor time for a message than the server does. Above some 2,000 connections, or some thousands of deliveries a second and core, its times say how busy k6 is: use sluice-load there.',
  ],
});

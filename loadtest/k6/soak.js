// Soak: connections come and go for hours while messages are published. Nothing
// may be lost, and nothing may grow.
import exec from 'k6/execution';
import http from 'k6/http';
import { pause, sinceScenario } from './lib/clock.js';
import { count, figures, level, over, partOf, time } from './lib/figures.js';
import { options as common } from './lib/options.js';
import { publish as pace } from './lib/publisher.js';
import { Redis } from './lib/redis.js';
import { settings } from './lib/settings.js';
import { follow, subscriptions } from './lib/subscriber.js';
import { report } from './lib/summary.js';
import { channelName, reach } from './lib/target.js';

// GROWTH is by how many percent the server's memory may grow from a tenth of the run on. ADMIN=none: its metrics are not read.
const s = settings({ CONNECTIONS: 200, PER_VU: 10, CHANNELS: 10, RATE: 20, SIZE: 128, LIFE: '1m', RAMP: '30s', FOR: '1h', EVERY: '5s', P95: 1000, GROWTH: 30, ADMIN: 'http://127.0.0.1:8001' });
const tail = 10; // seconds after the last message in which it may still come
const seconds = s.RAMP + s.FOR;
// k6 keeps every latency in memory: about a million are enough.
const sample = Math.max(1, Math.ceil(((s.CONNECTIONS / s.CHANNELS) * s.RATE * s.FOR) / 1e6));
const watched = s.ADMIN === 'none' ? [] : ['sluice_connections', 'process_resident_memory_bytes', 'go_goroutines'];

const f = figures({
  ...subscriptions(`p(95)<${s.P95}`),
  opened: over(count('connections opened', 'count>0')),
  unpublished: count('messages that could not be published', 'count==0'),
  ...(watched.length === 0 ? {} : {
    memory: over(level('the server’s resident memory', 'MB')),
    growth: level('growth of it since a tenth of the run', '%', `value<${s.GROWTH}`),
    connections: over(level('connections that the server has', '')),
    goroutines: over(level('its goroutines', '')),
    blind: count('times that its metrics could not be read', 'count==0'),
  }),
});

export const options = common(f, {
  clients: {
    exec: 'live', executor: 'ramping-vus', startVUs: 0, gracefulStop: '60s',
    stages: [{ duration: `${s.RAMP}s`, target: Math.ceil(s.CONNECTIONS / s.PER_VU) }, { duration: `${s.FOR + 2}s`, target: Math.ceil(s.CONNECTIONS / s.PER_VU) }],
  },
  publisher: { exec: 'publish', executor: 'per-vu-iterations', vus: 1, iterations: 1, startTime: `${s.RAMP + 1}s`, maxDuration: `${s.FOR + 60}s` },
  ...(watched.length === 0 ? {} : { watcher: { exec: 'watch', executor: 'per-vu-iterations', vus: 1, iterations: 1, maxDuration: `${seconds + 60}s` } }),
});

export async function setup() {
  const run = await reach(s);
  if (watched.length > 0 && read() === null) exec.test.abort(`${s.ADMIN}/metrics cannot be read. Where is the admin port? -e ADMIN=http://…, or -e ADMIN=none to do without`);
  return run;
}

let done = false; // this VU's part of the run is over

// live keeps connections open, each of which ends after a while and is opened again.
export async function live(run) {
  const first = exec.scenario.iterationInTest * s.PER_VU;
  if (!done) {
    await Promise.all(Array.from({ length: Math.min(s.PER_VU, s.CONNECTIONS - first) }, (_, i) => again(run, first + i)));
    done = true;
  }
  await pause((seconds + 2.5 - sinceScenario()) * 1000); // until k6 starts no further iteration
}

async function again(run, turn) {
  for (let n = 0; sinceScenario() < seconds; n++) {
    f.opened.add(1, partOf(sinceScenario() / seconds));
    const life = s.LIFE * 1000 * (0.5 + Math.random()), last = (seconds + tail - sinceScenario()) * 1000;
    const opened = await follow({ settings: s, run, f, turn: turn + n, channel: channelName(s, run, turn % s.CHANNELS), life: Math.min(life, last), span: s.FOR, sample });
    if (!opened) await pause(1000 + 2000 * Math.random());
  }
}

export async function publish(run) {
  const redis = new Redis(s);
  await pace({
    run, channels: Array.from({ length: s.CHANNELS }, (_, i) => channelName(s, run, i)), rate: s.RATE, seconds: s.FOR, size: s.SIZE,
    send: (channel, payload) => redis.publish(channel, payload),
    note: (late, error) => { if (error) f.unpublished.add(1); },
  });
}

// watch reads the server's metrics every now and then.
export async function watch() {
  let baseline;
  while (sinceScenario() < seconds) {
    const values = read();
    const part = partOf(sinceScenario() / seconds);
    if (values === null) {
      f.blind.add(1);
    } else {
      const memory = values.process_resident_memory_bytes / 1e6;
      if (baseline === undefined && sinceScenario() > s.RAMP + s.FOR / 10) baseline = memory;
      f.memory.add(memory, part);
      f.connections.add(values.sluice_connections, part);
      f.goroutines.add(values.go_goroutines, part);
      if (baseline !== undefined) f.growth.add(Math.max(0, (memory / baseline - 1) * 100));
    }
    await pause(s.EVERY * 1000);
  }
}

// read is what the server says of itself, null where it says nothing.
function read() {
  const answer = http.get(`${s.ADMIN}/metrics`, { timeout: '5s' });
  if (answer.status !== 200) return null;
  const values = {};
  for (const name of watched) {
    const line = answer.body.match(new RegExp(`^${name}(?:{[^}]*})? (.*)$`, 'm'));
    values[name] = line ? Number(line[1]) : NaN;
  }
  return values;
}

export const handleSummary = report({
  script: 'soak', title: 'Soak', settings: s, figures: f,
  question: 'Does it stay as it is over hours of coming and going: nothing lost, nothing that grows?',
  notes: [
    'Memory grows in the first minutes, as Go’s heap settles: what counts is from a tenth of the run on, which should be minutes.',
    sample === 1 ? 'Every latency is kept.' : `One latency in ${sample} is kept: k6 holds all of them in memory.`,
  ],
});

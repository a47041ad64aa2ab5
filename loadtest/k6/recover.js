// Coming back: clients of durable channels go away again and again and come back,
// to the next node where there are several, from the last position that they
// have. Between two messages of theirs nothing may be missing that they were not told of.
import exec from 'k6/execution';
import { now, pause, sinceScenario } from './lib/clock.js';
import { open, handshakes } from './lib/connection.js';
import { count, figures, over, partOf, share, time } from './lib/figures.js';
import { options as common } from './lib/options.js';
import { decode } from './lib/payload.js';
import { publish as pace } from './lib/publisher.js';
import { Redis } from './lib/redis.js';
import { Sequence } from './lib/sequence.js';
import { settings } from './lib/settings.js';
import { report } from './lib/summary.js';
import { channelName, reach } from './lib/target.js';

// FAULTS=yes: somebody breaks things while this runs; cut connections and clients that are told to load afresh are no failure then.
const s = settings({ CLIENTS: 100, PER_VU: 10, CHANNELS: 4, RATE: 40, SIZE: 128, STAY: '3s', AWAY: '1s', RAMP: '3s', FOR: '20s', P95: 1000, FAULTS: 'no' });
const tail = 15; // seconds after the last message in which everybody has to have it
const healthy = (limit) => (s.FAULTS === 'no' ? [limit] : []);

const f = figures({
  missing: count('missing, and nobody said so', 'count==0'),
  duplicate: count('messages that came twice', 'count==0'),
  late: count('messages out of order', 'count==0'),
  altered: count('messages altered, or on a wrong channel', 'count==0'),
  stuck: count('clients that never got the last message', 'count==0'),
  recovered: share('came back and had missed nothing for good', ...healthy('rate==1')),
  afresh: count('clients told to load afresh', ...healthy('count==0')),
  comeback: over(time('from dialling until it is told what it missed', `p(95)<${s.P95}`)),
  delivery: time('from when it was due, of those who were there'),
  delivered: count('messages delivered', 'count>0'),
  caughtUp: over(count('of them published while the client was away', 'count>0')),
  returns: count('times that clients came back', 'count>0'),
  ungreeted: count('greetings that k6 itself dropped: the client came back at once'),
  unpublished: count('tries to publish that failed, and were repeated', ...healthy('count==0')),
  cut: over(count('connections that were cut', ...healthy('count==0'))),
  ...handshakes(),
  connected: share('connections that opened', ...healthy('rate==1')),
});

export const options = common(f, {
  clients: {
    exec: 'follow', executor: 'ramping-vus', startVUs: 0, gracefulStop: '60s',
    stages: [{ duration: `${s.RAMP}s`, target: Math.ceil(s.CLIENTS / s.PER_VU) }, { duration: `${s.FOR + 2}s`, target: Math.ceil(s.CLIENTS / s.PER_VU) }],
  },
  publisher: { exec: 'publish', executor: 'per-vu-iterations', vus: 1, iterations: 1, startTime: `${s.RAMP + 1}s`, maxDuration: `${s.FOR + 60}s` },
});

export function setup() {
  return reach(s, { durable: true });
}

const part = () => partOf((sinceScenario() - s.RAMP) / (s.FOR + 2));

let done = false; // this VU's clients have got all

export async function follow(run) {
  const first = exec.scenario.iterationInTest * s.PER_VU;
  if (!done) {
    await Promise.all(Array.from({ length: Math.min(s.PER_VU, s.CLIENTS - first) }, (_, i) => live(run, first + i)));
    done = true;
  }
  await pause((s.RAMP + s.FOR + 2.5 - sinceScenario()) * 1000); // until k6 starts no further iteration
}

// live is the whole life of a client: there, away, and there again, until it has the last message.
async function live(run, turn) {
  const client = { run, turn, channel: channelName(s, run, turn % s.CHANNELS), position: undefined, seen: undefined, complete: false };
  for (let failures = 0; !client.complete;) {
    if (sinceScenario() > s.RAMP + s.FOR + tail) {
      f.stuck.add(1);
      break;
    }
    const opened = await visit(client);
    failures = opened ? 0 : failures + 1;
    client.turn++;
    // Away for a while; who finds nobody waits longer each time, and not as long as the others.
    if (!client.complete) await pause((opened ? s.AWAY : Math.min(5, 0.2 * 2 ** failures)) * 1000 * (0.5 + Math.random()));
  }
  settle(client);
}

// visit is one connection, which it resolves to whether it opened.
function visit(client) {
  return new Promise((resolve) => {
    const begun = now(), returning = client.position !== undefined;
    let timer, greeted = false;
    const connection = open({
      settings: s, f, turn: client.turn, channels: [client.channel], since: returning ? [client.position] : [], protocol: 'sluice.v1',
      opened: () => {
        timer = setTimeout(connection.close, s.STAY * 1000 * (0.5 + Math.random()));
      },
      message: (text, at) => {
        const m = JSON.parse(text);
        // k6 drops what the server says before k6 has called onopen. Who has not heard where it is comes back from where it was.
        greeted = greeted || m.subscribed === true;
        if (!greeted) return connection.close();
        if (m.gap !== undefined) afresh(client);
        else if (m.subscribed) subscribed(client, m, returning, begun, at);
        else if (m.data !== undefined) delivered(client, m, begun, at);
        if (client.complete) connection.close();
      },
      closed: ({ asked, opened }) => {
        clearTimeout(timer);
        if (opened && !greeted && asked) f.ungreeted.add(1);
        if (opened && !asked) f.cut.add(1, part());
        resolve(opened);
      },
    });
  });
}

function subscribed(client, m, returning, begun, at) {
  if (returning) {
    f.returns.add(1);
    f.recovered.add(m.recovered === true);
    f.comeback.add(at - begun, part());
    if (m.recovered !== true) afresh(client);
  } else {
    client.since = at;
  }
  if (client.position === undefined || m.recovered === false) client.position = m.position;
}

function delivered(client, m, begun, at) {
  const message = m.channel === client.channel && decode(m.data, client.run);
  if (!message) return f.altered.add(1);
  client.position = m.position;
  // Who was there before the first message has to get that one, too.
  if (client.seen === undefined) client.seen = new Sequence(client.since < message.begun ? 0 : undefined);
  if (message.end) {
    client.seen.end(message.n);
    client.complete = true;
    return;
  }
  client.seen.take(message.n);
  f.delivered.add(1);
  if (message.at < begun) f.caughtUp.add(1, part());
  else f.delivery.add(at - message.at);
}

// afresh is when a client is told that messages may be missing: what comes next is a new beginning.
function afresh(client) {
  f.afresh.add(1);
  settle(client);
  client.seen = new Sequence();
}

// settle counts what went wrong since the last beginning.
function settle({ seen }) {
  if (seen === undefined) return;
  f.missing.add(seen.missing);
  f.duplicate.add(seen.duplicate);
  f.late.add(seen.late);
}

export async function publish(run) {
  const redis = new Redis(s);
  await pace({
    run, channels: Array.from({ length: s.CHANNELS }, (_, i) => channelName(s, run, i)), rate: s.RATE, seconds: s.FOR, size: s.SIZE, retry: true,
    send: (channel, payload, n) => redis.publishDurable(channel, payload, `${channel}/${n}`),
    note: (late, error) => { if (error) f.unpublished.add(1); },
  });
}

export const handleSummary = report({
  script: 'recover', title: 'Coming back to durable channels', settings: s, figures: f,
  question: 'Do clients that go away and come back get everything, once, in order, or are they told that they did not?',
  notes: [
    'Messages are numbered. Missing is what was published between two messages of a client, and neither came nor was announced as missing (recovered:false, or a gap notice).',
    'Clients close their connections; cut ones, as when a node dies, are reconnected to the next node of URL. Try it: several nodes in URL, -e FAULTS=yes, and kill one. What the server’s own tests do to Redis is make chaos.',
  ],
});

// Chat: users send, a worker reads the inbox, Redis carries its answers. Users
// come, talk, and leave; each message goes to everybody in its room, each call is
// answered to the one who made it.
import exec from 'k6/execution';
import { now, pause, sinceScenario } from './lib/clock.js';
import { open, handshakes } from './lib/connection.js';
import { count, figures, over, partOf, time } from './lib/figures.js';
import { Inbox } from './lib/inbox.js';
import { options as common } from './lib/options.js';
import { Redis } from './lib/redis.js';
import { settings } from './lib/settings.js';
import { report } from './lib/summary.js';
import { channelName, reach } from './lib/target.js';

const s = settings({ USERS: 30, ROOMS: 5, WORKERS: 2, SAYS: 5, THINK: '1s', RAMP: '5s', FOR: '15s', INBOX: '', P95: 1000 });
const seconds = 2 * s.RAMP + s.FOR;
const patience = 10; // seconds that a user waits for what is outstanding
const stay = Math.ceil(1.5 * s.THINK * s.SAYS + patience); // a visit takes no longer

const f = figures({
  acked: over(time('from sending to the ack (Redis has it)', `p(95)<${s.P95}`)),
  roundtrip: over(time('from sending to everybody in the room', `p(95)<${s.P95}`)),
  reply: over(time('from calling to the reply', `p(95)<${s.P95}`)),
  waited: time('in the inbox until a worker had it'),
  said: count('messages sent', 'count>0'),
  called: count('calls made', 'count>0'),
  unacked: count('messages without an ack', 'count==0'),
  unheard: count('messages that did not come back', 'count==0'),
  twice: count('messages that came back twice', 'count==0'),
  unanswered: count('calls without a reply', 'count==0'),
  errors: count('errors that the server answered with', 'count==0'),
  heard: count('messages of others'),
  handled: count('inbox entries that workers handled', 'count>0'),
  broken: count('times that a worker had trouble with Redis', 'count==0'),
  cut: count('connections that were cut', 'count==0'),
  ...handshakes(),
});

export const options = common(f, {
  users: {
    exec: 'talk', executor: 'ramping-vus', startVUs: 0, gracefulRampDown: `${stay}s`, gracefulStop: `${stay}s`,
    stages: [{ duration: `${s.RAMP}s`, target: s.USERS }, { duration: `${s.FOR}s`, target: s.USERS }, { duration: `${s.RAMP}s`, target: 0 }],
  },
  workers: { exec: 'work', executor: 'per-vu-iterations', vus: s.WORKERS, iterations: 1, maxDuration: `${Math.ceil(seconds) + stay + 30}s` },
});

export async function setup() {
  const run = await reach(s);
  await new Inbox(s, `k6-${run}`).create();
  return run;
}

export async function teardown(run) {
  try {
    await new Inbox(s, `k6-${run}`).remove();
  } catch (e) {
    console.warn(`the consumer group k6-${run} could not be removed (XGROUP DESTROY): ${e}`);
  }
}

// talk is one visit: come, say some things, wait for all answers, leave.
export async function talk(run) {
  const visit = exec.scenario.iterationInTest;
  const me = `u${visit}`, sent = new Map(), calls = new Map();
  const part = () => partOf(sinceScenario() / seconds);
  let ready, gone;
  const come = new Promise((resolve) => { ready = resolve; });
  const leave = new Promise((resolve) => { gone = resolve; });
  let ended = false;
  const connection = open({
    settings: s, f, turn: visit, channels: [channelName(s, run, visit % s.ROOMS)], protocol: 'sluice.v1',
    opened: () => ready(true),
    message: (text, at) => {
      const m = JSON.parse(text);
      if (m.error) f.errors.add(1);
      else if (m.ack) acked(sent.get(m.ack), at);
      else if (m.reply) answered(m.reply, at);
      else if (m.data && m.data.run === run) heard(m.data, at);
    },
    closed: ({ asked, opened }) => {
      ended = true;
      if (opened && !asked) f.cut.add(1);
      ready(false);
      gone();
    },
  });
  const acked = (said, at) => {
    if (!said || said.acked) return;
    said.acked = true;
    f.acked.add(at - said.at, part());
  };
  const answered = (id, at) => {
    if (!calls.has(id)) return;
    f.reply.add(at - calls.get(id), part());
    calls.delete(id);
  };
  const heard = (data, at) => {
    f.roundtrip.add(at - data.at, part());
    if (data.from !== me) return f.heard.add(1);
    const said = sent.get(data.id);
    if (said.heard) f.twice.add(1);
    said.heard = true;
  };
  const waiting = () => calls.size > 0 || [...sent.values()].some((m) => !m.acked || !m.heard);

  if (await come) {
    for (let n = 0; n < s.SAYS && !ended; n++) {
      const at = now(), id = `m${n}`;
      sent.set(id, { at });
      connection.ws.send(JSON.stringify({ id, data: { run, from: me, id, at, text: `message ${n} of ${me}` } }));
      f.said.add(1);
      if (n % 2 === 0) {
        calls.set(`c${n}`, now());
        connection.ws.send(JSON.stringify({ id: `c${n}`, call: `echo-${run}`, data: { n } }));
        f.called.add(1);
      }
      await pause(s.THINK * 1000 * (0.5 + Math.random()));
    }
    for (const until = now() + patience * 1000; waiting() && !ended && now() < until;) await pause(50);
    for (const m of sent.values()) {
      if (!m.acked) f.unacked.add(1);
      if (!m.heard) f.unheard.add(1);
    }
    f.unanswered.add(calls.size);
    connection.close();
  }
  await leave;
  if (!(await come)) await pause(1000); // who could not come does not try again at once
}

// work is a worker as in the README, until everybody has gone.
export async function work(run) {
  const redis = new Redis(s), inbox = new Inbox(s, `k6-${run}`, `worker${exec.vu.idInTest}`);
  for (let idle = 0; sinceScenario() < seconds || idle < 3;) {
    let entries;
    try {
      entries = await inbox.read();
      for (const { fields } of entries) await handle(redis, run, fields);
      await inbox.ack(entries);
    } catch (e) {
      f.broken.add(1);
      await pause(1000);
      entries = [];
    }
    idle = entries.length > 0 ? 0 : idle + 1;
    if (sinceScenario() > seconds + stay) return;
  }
}

async function handle(redis, run, entry) {
  if (entry.type === 'message' && entry.channel.startsWith(channelName(s, run, ''))) {
    await redis.command('PUBLISH', s.PREFIX + entry.channel, entry.data);
  } else if (entry.type === 'rpc' && entry.method === `echo-${run}`) {
    await redis.command('PUBLISH', entry.reply, `${entry.conn}:${entry.call} ${entry.data}`);
  } else {
    return; // somebody else's, or that somebody came or left
  }
  f.waited.add(Math.max(0, Date.now() - Number(entry.time)));
  f.handled.add(1);
}

export const handleSummary = report({
  script: 'chat', title: 'Chat, both ways', settings: s, figures: f,
  question: 'How long does it take from a client through the inbox and a worker back to clients, and does everything arrive?',
  notes: [
    'A message goes from the client into a Redis Stream, which is when it is acknowledged; a worker (XREADGROUP, XACK) publishes it to the room’s channel, and everybody there gets it. A call takes the same way, and its reply goes to its caller alone.',
    'Workers are VUs of this script, one command at a time each. Where “in the inbox” is most of the time, they are what is slow: more WORKERS.',
  ],
});

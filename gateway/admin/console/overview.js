// The overview: plots of this node, and tables of its parts.

import { $, el, fill, table, chip, whole, short, bytes, span, duration, clock, plural, setText } from './dom.js';
import { ask } from './node.js';
import { Plot, level, rate } from './plot.js';

const perSecond = (v) => short(v);

const cards = [
  { id: 'connections', title: 'Connections', format: short, hint: 'Sockets open on the public port',
    series: [{ name: 'open', value: level('connections'), tone: 'a' }],
    after: (o) => `of ${short(o.connections_limit)}`,
    sub: (o) => `${plural(o.sample.subscriptions, 'subscription')} · ${plural(o.sample.channels, 'channel')}` },
  { id: 'deliveries', title: 'Messages from Redis', unit: '/s', format: perSecond, hint: 'For channels that have members on this node',
    series: [{ name: 'arriving', value: rate('deliveries'), tone: 'a' }],
    sub: (o) => `${short(o.sample.deliveries)} since the start` },
  { id: 'out', title: 'Messages to clients', unit: '/s', format: perSecond, hint: 'Each message of a channel once for each of its members',
    series: [{ name: 'sent', value: rate('messages_out'), tone: 'a' }],
    sub: (o) => `${bytes(o.sample.bytes_out)} out · ${bytes(o.sample.backlog)} wait for slow clients` },
  { id: 'latency', title: 'Delivery latency', format: span, hint: 'From a message’s arrival from Redis to the last client that it was written to',
    series: [{ name: '99 %', value: level('delivery_p99'), tone: 'a' }, { name: '50 %', value: level('delivery_p50'), tone: 'b' }],
    sub: (o, said) => (said[0] === '–' ? 'nothing was delivered in this second' : `99 of 100 took no longer, half ${said[1]}`) },
  { id: 'proof', title: 'Redis proof age', format: span, hint: 'Age of the newest probe that went through Redis and came back, on the link where it is oldest', least: 2,
    alarm: (o) => proofTone(o.sample.proof_age) !== 'good',
    series: [{ name: 'oldest', value: level('proof_age'), tone: 'a' }],
    sub: (o) => (o.sample.proof_age < 0 ? 'a link has never proven anything' : `round trip ${span(o.sample.probe)} · ${o.redis.ok ? 'delivering' : 'not delivering'}`) },
  { id: 'in', title: 'Messages from clients', unit: '/s', format: perSecond, hint: 'Data messages received',
    series: [{ name: 'received', value: rate('messages_in'), tone: 'a' }],
    sub: (o) => `${bytes(o.sample.bytes_in)} in since the start` },
  { id: 'inbox', title: 'Inbox', unit: '/s', format: perSecond, hint: 'Entries that Redis has taken, and that it has not',
    alarm: (o) => o.inbox.down,
    series: [{ name: 'accepted', value: rate('inbox_written'), tone: 'a' }, { name: 'failed', value: rate('inbox_failed'), tone: 'bad' }],
    sub: (o) => `${o.inbox.down ? 'down' : plural(o.inbox.queue, 'entry waits', 'entries wait')} · ${plural(o.sample.inbox_lag, 'entry', 'entries')} unread` },
  { id: 'trouble', title: 'Missed and refused', unit: '/s', format: perSecond, hint: 'Messages lost and gaps; requests refused',
    series: [{ name: 'missed', value: rate('missed'), tone: 'bad' }, { name: 'refused', value: rate('refused'), tone: 'warn' }],
    sub: (o) => `${short(o.sample.missed)} missed · ${short(o.sample.refused)} refused since the start` },
];

const panels = {};

function panel(id, title, hint, size = '') {
  const body = el('div', 'panel-body');
  const count = el('span', 'count');
  const card = el('section', `card panel ${size}`, el('div', 'card-head', el('h2', '', title), el('span', 'hint', hint), count), body);
  card.id = `panel-${id}`;
  card.setAttribute('aria-label', title);
  $('panels').append(card);
  panels[id] = { card, body, count, said: '' };
}

export function build() {
  for (const of of cards) $('plots').append(new Plot(of).card);
  panel('links', 'Redis links', 'one subscribe connection each', 'wide');
  panel('losses', 'Losses and gaps', 'what clients may have missed', 'wide');
  panel('inbox', 'Inbox streams', 'how far services have read', 'wide');
  panel('namespaces', 'Namespaces', 'channels by the first part of their names', 'wide');
  panel('dialects', 'Dialects', 'what clients speak', 'wide');
  panel('reactors', 'Reactors', 'event loops', 'wide');
  panel('refusals', 'Refused', 'requests, by reason');
  panel('limits', 'Limits reached', 'by setting');
  panel('closes', 'Closed', 'WebSocket connections');
  panel('nodes', 'Nodes', 'by their leases in Redis', 'whole');
}

// put replaces what a panel shows, unless it is the same: a selection is not lost.
function put(id, key, content) {
  const p = panels[id];
  const said = JSON.stringify(key);
  if (p.said === said) return;
  p.said = said;
  fill(p.body, content);
}

const none = (text) => el('p', 'none', text);
const proofTone = (age) => (age < 0 || age > 10 ? 'bad' : age > 4 ? 'warn' : 'good');

// recent is what counters have grown by in the last minute, by name.
let history = [];

export function compareWith(o) {
  history = [{ time: o.sample.time, all: counters(o) }];
}

function counters(o) {
  const all = {};
  for (const [kind, list] of Object.entries({ losses: o.losses, refusals: o.refusals, limits: o.limits })) for (const c of list) all[`${kind} ${c.name}`] = c.n;
  for (const c of o.closes) all[`closes ${c.code} ${c.by} ${c.reason}`] = c.n;
  for (const n of o.namespaces) { all[`in ${n.name}`] = n.messages; all[`out ${n.name}`] = n.messages_out; }
  for (const d of o.dialects) { all[`from ${d.name}`] = d.messages_in; all[`to ${d.name}`] = d.messages_out; }
  for (const l of o.links) all[`links ${l.name}`] = l.messages;
  return all;
}

function recent(o) {
  const all = counters(o);
  if (history.at(-1)?.time !== o.sample.time) history.push({ time: o.sample.time, all });
  while (history.length > 61) history.shift();
  const first = history[0];
  return {
    seconds: (o.sample.time - first.time) / 1000,
    grown: (key) => Math.max(0, all[key] - (first.all[key] ?? 0)),
  };
}

// lately is a rate over the last minute.
const lately = (r, key) => (r.seconds > 0 ? short(r.grown(key) / r.seconds) : '–');

// meant is text that says more when it is pointed at.
function meant(text, meaning) {
  const node = el('span', meaning ? 'meant' : '', text);
  node.title = meaning ?? '';
  return node;
}

const fresh = (n) => (n > 0 ? chip(`+${short(n)}`, 'warn') : '');

function counts(id, list, r, empty) {
  const rows = list.map((c) => [c.name, c.n, r.grown(`${id} ${c.name}`), c.meaning]);
  put(id, rows, rows.length === 0 ? none(empty) : table(['', '#total', '#last minute'],
    rows.map(([name, n, now, meaning]) => [meant(id === 'refusals' ? name.replaceAll('_', ' ') : name, meaning), whole(n), fresh(now)])));
}

export function show(o) {
  const r = recent(o);
  put('links', [o.links, r.seconds], table(['link', '#proof age', '#round trip', '#channels', '#messages/s'], o.links.map((l) => [
    l.name, chip(l.proof_age < 0 ? 'never' : span(l.proof_age), proofTone(l.proof_age)), span(l.probe), whole(l.channels),
    lately(r, `links ${l.name}`)])));
  showReactors(o);
  showLosses(o, r);
  showInbox(o);
  counts('refusals', o.refusals, r, 'Nobody has been refused.');
  counts('limits', o.limits, r, 'No client has reached a limit.');
  const closes = o.closes.map((c) => [c.code, c.by, c.reason, c.n, r.grown(`closes ${c.code} ${c.by} ${c.reason}`), c.meaning]);
  put('closes', closes, closes.length === 0 ? none('No WebSocket connection has ended yet.')
    : table(['code', 'by', '#total', '#last minute'], closes.map(([code, by, reason, n, now, meaning]) => [
      code.replaceAll('_', ' '), meant(reason ? `${by}: ${reason.replaceAll('_', ' ')}` : by, meaning), whole(n), now > 0 ? chip(`+${short(now)}`) : ''])));
  put('dialects', [o.dialects, r.seconds], table(['dialect', '#clients', '#from them/s', '#to them/s', '#bytes in', '#bytes out'],
    o.dialects.filter((d) => d.clients + d.messages_in + d.messages_out > 0 || d.name === 'plain').map((d) => [
      d.name, whole(d.clients), lately(r, `from ${d.name}`), lately(r, `to ${d.name}`), bytes(d.bytes_in), bytes(d.bytes_out)])));
  showNamespaces(o, r);
  put('nodes', o.nodes, table(['node', 'public address', '#up', '#last sign of life'], o.nodes.map((n) => [
    el('span', '', el('b', '', n.id), n.id === o.node ? ' (this one)' : ''), n.address,
    duration(Math.max(0, (Date.now() - new Date(n.started)) / 1000)), `${span(n.age_seconds)} ago`])));
  setText($('scope'), o.nodes.length > 1 ? `This node only: each of the ${o.nodes.length} nodes has a console of its own.` : 'This node only.');
}

function showReactors(o) {
  const most = Math.max(1, ...o.reactors.map((x) => x.connections));
  const meter = (n) => {
    const m = el('meter');
    Object.assign(m, { min: 0, max: most, value: n });
    m.setAttribute('aria-label', 'share of the fullest');
    return m;
  };
  const turn = (s) => (s < 0 ? '–' : chip(span(s), s > 0.25 ? 'bad' : s > 0.1 ? 'warn' : 'good'));
  put('reactors', o.reactors, table(['#reactor', '#connections', '', '#longest turn'],
    o.reactors.map((x) => [whole(x.index), whole(x.connections), meter(x.connections), turn(x.longest_turn)])));
}

function showLosses(o, r) {
  const rows = o.losses.map((c) => [c.name, c.n, r.grown(`losses ${c.name}`)]);
  const recentGaps = gaps.slice(0, 4);
  put('losses', [rows, recentGaps, o.gaps_open], el('div', '',
    rows.length === 0 ? none('Nothing has been missed since this node began.')
      : table(['', '#total', '#last minute'], rows.map(([name, n, new_]) => [name, whole(n), fresh(new_)])),
    recentGaps.length > 0 ? el('ol', 'gaps', ...recentGaps.map((g) => el('li', '', el('b', '', during(g)),
      ` · ${g.cause} · ${g.channel || plural(g.channels, 'channel')}`))) : null));
  setText(panels.losses.count, o.gaps_open > 0 ? `${plural(o.gaps_open, 'gap')} open` : '');
}

function during(gap) {
  const from = new Date(gap.from);
  const day = new Date().toDateString() === from.toDateString() ? '' : `${from.toLocaleDateString()} `;
  return gap.to ? `${day}${clock(from)}, ${span((new Date(gap.to) - from) / 1000)}` : `since ${day}${clock(from)}`;
}

// The gaps are asked for when there are others than before.
let gaps = [], gapsOf = '';
export async function lookAtGaps(o) {
  const of = JSON.stringify([o.losses, o.gaps_open]);
  if (of === gapsOf) return;
  gapsOf = of;
  try {
    gaps = (await ask('/api/gaps')).gaps.reverse();
  } catch {
    gapsOf = ''; // the banner tells of a node that does not answer
  }
}

function showInbox(o) {
  const rows = o.inbox.streams.flatMap((s) => (s.groups.length === 0 ? [[s.name, 'no consumer group', s.length, null, null, null]]
    : s.groups.map((g) => [s.name, g.name, s.length, g.unread, g.pending, g.idle])));
  put('inbox', rows, rows.length === 0 ? none('Redis has not told of the inbox yet.')
    : table(['stream', 'group', '#entries', '#unread', '#not acked', '#oldest'], rows.map(([stream, group, length, unread, pending, idle]) => [
      stream, unread === null ? el('span', 'muted', group) : group, whole(length), unread === null ? '' : unread < 0 ? 'unknown' : chip(whole(unread), unread > 1000 ? 'warn' : ''),
      pending === null ? '' : whole(pending), pending ? span(idle) : ''])));
}

function showNamespaces(o, r) {
  const causes = (n) => (n.gaps.length === 0 ? el('span', 'muted', 'none') : el('span', 'chips', ...n.gaps.map((c) => chip(`${c.name} ${short(c.n)}`, 'warn'))));
  put('namespaces', [o.namespaces, r.seconds], table(['namespace', '#channels', '#subscriptions', '#from Redis/s', '#to clients/s', 'gaps'], o.namespaces.map((n) => [
    n.name || el('span', 'muted', '(all others)'), whole(n.channels), whole(n.subscriptions), lately(r, `in ${n.name}`), lately(r, `out ${n.name}`), causes(n)])));
}

// Exploring: what is known of a channel, a user or a connection, and what can be done about it.

import { $, el, fill, table, chip, button, whole, plural, duration, span, bytes, setText } from './dom.js';
import { ask } from './node.js';
import { act, hint, twice, whenChanged, may } from './acting.js';
import * as tail from './tail.js';

const paths = { channel: 'channel', user: 'user', conn: 'conn' };
const examples = { channel: 'news', user: '42', conn: 'the conn of an inbox entry' };

let shown = ''; // hash of what is on the page

const link = (kind, name) => {
  const a = el('a', 'name', name);
  a.href = `#/${kind}/${encodeURIComponent(name)}`;
  return a;
};

// connLink is short for connections of this node: what they have in common is left out.
function connLink(conn) {
  const a = link('conn', conn);
  const cut = conn.lastIndexOf('.');
  if (cut > 0 && life !== '' && conn.slice(0, cut) === life) a.textContent = `…${conn.slice(cut)}`;
  a.title = conn;
  return a;
}

let life = ''; // of this node: what the names of its connections begin with

export function learn(o) {
  life = o.life;
}

export function go(hash) {
  if (hash === shown) return;
  shown = hash;
  const [, kind, name] = /^#\/(channel|user|conn)\/(.+)$/.exec(hash) ?? [];
  if (!kind) {
    fill($('found'), intro());
    return;
  }
  look(kind, decodeURIComponent(name));
}

const intro = () => el('section', 'card panel', el('div', 'card-head', el('h2', '', 'Look up')), el('div', 'panel-body', el('ul', 'plain',
  el('li', '', el('b', '', 'a channel'), ': its rules, where its log stands, who is on it'),
  el('li', '', el('b', '', 'a user'), ': the connections on this node and their channels'),
  el('li', '', el('b', '', 'a connection'), ': by its name in the inbox'))));

async function look(kind, name) {
  document.querySelector(`[name=kind][value=${kind}]`).checked = true;
  $('term').value = name;
  const asked = shown;
  try {
    if (life === '') learn(await ask('/api/info')); // the page has only just been opened
    const nodes = kind === 'channel' ? await channel(name) : kind === 'user' ? await user(name) : await connection(name);
    if (asked === shown) fill($('found'), ...nodes);
  } catch (err) {
    if (asked === shown) fill($('found'), el('section', 'card panel bad', el('div', 'card-head', el('h2', '', name)), el('div', 'panel-body', el('p', 'none', err.message))));
  }
}

function again() {
  const hash = shown;
  shown = '';
  go(hash);
}

const fact = (name, value) => (value === '' || value === null ? null : el('div', '', el('dt', '', name), el('dd', '', value)));

function card(title, count, actions, ...body) {
  return el('section', 'card panel', el('div', 'card-head', el('h2', '', title), el('span', 'count', count), el('div', 'tools', ...actions)), el('div', 'panel-body', ...body));
}

function long(node) {
  node.classList.add('long');
  return node;
}

async function channel(name) {
  const [c, conns] = await Promise.all([ask(`/api/channel?name=${encodeURIComponent(name)}`), ask(`/api/conns?channel=${encodeURIComponent(name)}`)]);
  const r = c.rules;
  const facts = el('dl', 'facts',
    fact('on this node', plural(c.members, 'connection')),
    fact('subscribed at Redis', c.heard ? 'yes' : c.members > 0 ? 'not confirmed' : 'no: nobody here is on it'),
    fact('namespace', r.namespace || '(all others)'),
    fact('who may', `subscribe: ${r.subscribe} · publish: ${r.publish}`),
    fact('slow clients', r.policy),
    fact('from clients', r.relay ? 'relayed to subscribers' : `stream ${r.inbox}`),
    fact('log', r.durable ? '' : 'none: not durable'));
  if (c.log) {
    facts.append(fact('last position', c.log.last === '0' ? 'none' : c.log.last), fact('epoch', c.log.epoch || '–'),
      fact('kept', `${plural(c.log.entries, 'entry', 'entries')}${r.last_value ? ', the newest counts' : ''}`));
    if (c.log.newest) facts.append(fact('newest', `${duration(Math.max(0, (Date.now() - new Date(c.log.newest)) / 1000))} ago`));
  }
  return [
    card(name, c.heard ? 'channel, live' : 'channel', [button('Follow', 'primary small', () => tail.follow([name])), button('Refresh', 'small', again)],
      facts, c.fault ? el('p', 'fault', `Redis did not tell everything: ${c.fault}`) : null),
    publisher(name),
    connections(conns, 'Connections on this node'),
    presence(c, r),
  ];
}

function presence(c, r) {
  if (!r.presence) return card('Presence', 'not kept by this namespace', []);
  if (!c.who) return null;
  const rows = c.who.some.map((p) => [connLink(p.conn), p.user ? link('user', p.user) : el('span', 'muted', 'anonymous'), `${duration(Math.max(0, (Date.now() - new Date(p.since)) / 1000))}`]);
  return card('Presence', `${plural(c.who.connections, 'connection')}, ${plural(c.who.users, 'user')} on all nodes`, [],
    rows.length === 0 ? el('p', 'none', 'Nobody is present.') : long(table(['connection', 'user', '#for'], rows)),
    c.who.connections > rows.length ? el('p', 'none', `${whole(rows.length)} of them are listed.`) : null);
}

// connections lists some; each can be closed.
function connections(found, title, empty = 'None on this node; it may have some on others.') {
  const result = el('output', '');
  const rows = found.conns.map((c) => [
    connLink(c.conn), c.user ? link('user', c.user) : el('span', 'muted', 'anonymous'), chip(c.dialect), c.remote,
    el('span', 'chips', ...c.channels.slice(0, 3).map((n) => link('channel', n)), c.channels.length + c.more > 3 ? el('span', 'muted', `and ${c.channels.length + c.more - 3} more`) : null),
    twice('Disconnect', 'Sure?', 'small danger', () => disconnect({ client: c.conn }, 'The connection', result)),
  ]);
  return card(title, plural(found.total, 'connection'), [],
    rows.length === 0 ? el('p', 'none', empty) : long(table(['connection', 'user', 'dialect', 'from', 'channels', '#'], rows)),
    found.total > rows.length ? el('p', 'none', `${whole(rows.length)} of them are listed.`) : null, result);
}

async function disconnect(whom, who, result) {
  const asked = shown;
  result.dataset.tone = '';
  setText(result, 'Disconnecting…');
  try {
    await act('/api/disconnect', whom);
    result.dataset.tone = 'good';
    setText(result, `${who} was told to go; all nodes were asked. Clients may come back.`);
    setTimeout(() => { if (shown === asked) again(); }, 700); // who has gone elsewhere is not disturbed
  } catch (err) {
    result.dataset.tone = 'bad';
    setText(result, `Not disconnected: ${err.message}`);
  }
}

async function user(name) {
  const [found, told] = await Promise.all([ask(`/api/conns?user=${encodeURIComponent(name)}`), ask(`/api/connections?user=${encodeURIComponent(name)}`)]);
  const names = [...new Set([`#${name}`, ...found.conns.flatMap((c) => c.channels)])].slice(0, 32);
  const result = el('output', '');
  return [
    card(name, 'user', [
      button('Follow', 'primary small', () => tail.follow(names)), button('Refresh', 'small', again),
      twice('Disconnect all', 'On all nodes: sure?', 'small danger', () => disconnect({ user: name }, `User ${name}`, result)),
    ], el('p', 'none', `Following shows #${name}, the user’s own channel${names.length > 1 ? `, and the ${plural(names.length - 1, 'channel')} of the connections below` : ''}.`), result, hint()),
    connections(found, 'Connections on this node'),
    departed(told.connections),
  ];
}

// connection tells its story, also of one that has ended.
async function connection(name) {
  const s = await ask(`/api/connections/${encodeURIComponent(name)}`);
  const channels = (s.channels ?? []).map((c) => c.name);
  const result = el('output', '');
  const ended = s.end !== undefined;
  const tools = [button('Refresh', 'small', again)];
  if (channels.length > 0) tools.unshift(button('Follow', 'primary small', () => tail.follow(channels.slice(0, 32))));
  if (!ended) tools.push(twice('Disconnect', 'Sure?', 'small danger', () => disconnect({ client: name }, 'The connection', result)));
  const facts = el('dl', 'facts',
    fact('state', s.state), fact('dialect', s.dialect), fact('user', s.user ? link('user', s.user) : 'anonymous'), fact('from', s.remote),
    fact('accepted', new Date(s.accepted).toLocaleString()), fact('inbox entries', whole(s.inbox_entries)));
  if (s.queue) facts.append(fact('waits for it', `${bytes(s.queue.bytes)}${s.queue.socket_full ? ', socket full' : ''}`));
  if (s.wire) {
    facts.append(fact('silent for', `${duration(s.wire.silent_seconds)}${s.wire.ping_unanswered ? ', a ping is under way' : ''}`),
      fact('round trip', span(s.wire.rtt_seconds)), fact('bytes', `${bytes(s.wire.bytes_in)} in, ${bytes(s.wire.bytes_out)} out`), fact('retransmits', whole(s.wire.retransmits)));
  }
  if (ended) facts.append(...ending(s).map(([what, value]) => fact(what, value)).filter(Boolean));
  const rows = (s.channels ?? []).map((c) => [link('channel', c.name), c.state ?? '', c.position ? String(c.position) : '']);
  return [
    card(name, `connection, ${s.state}`, tools, facts, result, ended ? null : hint()),
    card('Channels', plural(rows.length + (s.more_channels ?? 0), 'channel'), [],
      rows.length === 0 ? el('p', 'none', 'None.') : long(table(['channel', 'state', '#newest position'], rows))),
  ];
}

const ending = ({ end }) => [['ended', new Date(end.at).toLocaleString()], ['code', String(end.code)], ['by', end.by], ['reason', end.reason || end.cause || 'none given']];

// departed lists a user's connections that have ended lately.
function departed(stories) {
  const rows = stories.filter((s) => s.end).slice(0, 50).map((s) => [connLink(s.conn), `${duration(Math.max(0, (Date.now() - new Date(s.end.at)) / 1000))} ago`, String(s.end.code), s.end.by, s.end.reason]);
  return rows.length === 0 ? null : card('Ended lately', plural(rows.length, 'connection'), [], long(table(['connection', '#when', '#code', 'by', 'reason'], rows)));
}

// publisher is the form that publishes on a channel.
function publisher(name) {
  const text = el('textarea', '');
  text.rows = 2;
  text.spellcheck = false;
  text.id = 'payload';
  text.value = '{"hello":"from the console"}';
  const label = el('label', '', 'Payload');
  label.htmlFor = 'payload';
  const result = el('output', '');
  result.id = 'published';
  const go = el('button', 'primary', 'Publish');
  go.type = 'submit';
  const form = el('form', 'publish', label, text, el('div', 'row', go, result), hint());
  form.addEventListener('submit', async (e) => {
    e.preventDefault();
    result.dataset.tone = '';
    const payload = new TextEncoder().encode(text.value);
    try {
      const done = await act('/api/publish', { channel: name, b64data: btoa(Array.from(payload, (x) => String.fromCharCode(x)).join('')) });
      result.dataset.tone = 'good';
      setText(result, `Published ${bytes(payload.length)}${done.offset ? ` at position ${done.offset}` : ''}.`);
    } catch (err) {
      result.dataset.tone = 'bad';
      setText(result, `Not published: ${err.message}`);
    }
  });
  text.addEventListener('keydown', (e) => { if (e.key === 'Enter' && (e.ctrlKey || e.metaKey)) { e.preventDefault(); form.requestSubmit(); } });
  const node = card('Publish', '', [], form);
  whenChanged(go, () => { go.disabled = !may(); text.disabled = !may(); });
  return node;
}

export function build() {
  tail.build();
  for (const radio of document.getElementsByName('kind')) radio.addEventListener('change', () => { $('term').placeholder = examples[radio.value]; $('term').focus(); });
  $('search').addEventListener('submit', (e) => {
    e.preventDefault();
    const name = $('term').value.trim();
    const kind = document.querySelector('[name=kind]:checked').value;
    if (!name) return;
    const hash = `#/${paths[kind]}/${encodeURIComponent(name)}`;
    if (hash === location.hash) again();
    else location.hash = hash;
  });
}

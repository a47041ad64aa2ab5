// The tail: what is published on channels, live. However much comes, the node sends few, and
// the page keeps few.

import { $, el, setText, clockMs, bytes, whole, plural } from './dom.js';

const keep = 300; // rows

let source = null, channels = [], seen = 0, skipped = 0, paused = false, held = [];

export function follow(names) {
  stop();
  clear();
  channels = names;
  const query = names.map((n) => `channel=${encodeURIComponent(n)}`).join('&');
  source = new EventSource(`/api/tail?${query}`);
  source.addEventListener('tail', (e) => take(JSON.parse(e.data)));
  source.addEventListener('error', () => refused(query));
  note('');
  counter();
}

// refused finds out why there is no stream: an EventSource does not tell.
async function refused(query) {
  stop();
  try {
    const response = await fetch(`/api/tail?${query}`, { signal: AbortSignal.timeout(3000) });
    if (response.ok) {
      await response.body.cancel();
      note('The stream broke: messages may be missing. Follow again.');
      return;
    }
    note((await response.json()).error.message);
  } catch {
    note('The stream broke, and the node does not answer. Follow again when it does.');
  }
}

export function stop() {
  source?.close();
  source = null;
  counter();
}

function note(text) {
  $('tail-note').hidden = !text;
  setText($('tail-note'), text);
}

function clear() {
  seen = 0;
  skipped = 0;
  held = [];
  paused = false;
  $('tail').replaceChildren();
  counter();
}

function take(batch) {
  for (const text of batch.notes ?? []) if (!text.startsWith('listening')) note(text);
  seen += (batch.messages?.length ?? 0) + (batch.skipped ?? 0);
  skipped += batch.skipped ?? 0;
  const items = [...(batch.messages ?? [])];
  if (batch.skipped) items.push({ skipped: batch.skipped });
  if (paused) held = [...held, ...items].slice(-keep);
  else put(items);
  counter();
}

function put(items) {
  const rows = items.map((m) => (m.skipped ? el('p', 'skipped', `${plural(m.skipped, 'message')} skipped: more come than can be shown`) : row(m)));
  $('tail').prepend(...rows.reverse());
  while ($('tail').children.length > keep) $('tail').lastChild.remove();
}

// row shows one message: as text, or the bytes in hexadecimal.
function row(m) {
  const data = m.text === undefined ? decode(m.bytes ?? '') : null;
  const preview = data ? `${hex(data.subarray(0, 24))}${m.size > 24 ? ' …' : ''}` : m.text.slice(0, 300);
  const facts = [m.event ? '' : bytes(m.size), m.position ? `position ${m.position}` : '', m.cut ? 'cut' : ''].filter(Boolean).join(' · ');
  const node = el('details', 'message', el('summary', '', el('time', '', clockMs(new Date(m.time))), el('span', 'chip', m.channel),
    data || m.event ? el('span', 'chip', m.event ?? 'binary') : null, el('span', 'size', facts), el('span', 'preview', preview || '(empty)')));
  node.addEventListener('toggle', () => {
    if (!node.open || node.children.length > 1) return;
    const shown = data ? data.length : new TextEncoder().encode(m.text).length;
    node.append(el('div', 'whole', m.cut ? el('p', 'cut', `The first ${bytes(shown)} of ${bytes(m.size)} are shown.`) : null,
      el('pre', '', data ? dump(data) : pretty(m.text, m.cut))));
  });
  return node;
}

const decode = (base64) => Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
const hex = (b) => Array.from(b, (x) => x.toString(16).padStart(2, '0')).join(' ');

function dump(b) {
  const lines = [];
  for (let i = 0; i < b.length; i += 16) {
    const part = b.subarray(i, i + 16);
    const letters = Array.from(part, (x) => (x >= 32 && x < 127 ? String.fromCharCode(x) : '·')).join('');
    lines.push(`${i.toString(16).padStart(4, '0')}  ${hex(part).padEnd(47)}  ${letters}`);
  }
  return lines.join('\n');
}

function pretty(text, cut) {
  if (cut || !/^\s*[[{]/.test(text)) return text;
  try { return JSON.stringify(JSON.parse(text), null, 2); } catch { return text; }
}

function counter() {
  const on = source !== null;
  const what = channels.length === 1 ? channels[0] : plural(channels.length, 'channel');
  setText($('tail-count'), channels.length === 0 ? 'not following'
    : `${on ? `following ${what}` : `stopped: ${what}`} · ${whole(seen)} seen${skipped ? `, ${whole(skipped)} skipped` : ''}${paused ? ` · ${held.length} held` : ''}`);
  $('tail-count').title = channels.join('\n');
  $('tail-stop').disabled = !on;
  $('tail-pause').disabled = !on;
  $('tail-clear').disabled = seen === 0;
  $('tail-pause').textContent = paused ? 'Resume' : 'Pause';
  $('tail-pause').classList.toggle('held', paused);
  const none = $('tail').children.length === 0;
  $('tail').hidden = none;
  $('tail-empty').hidden = !none;
  if (none && channels.length > 0) $('tail-empty').replaceChildren(el('strong', '', on ? 'Listening' : 'Stopped'), on ? 'What is published appears here.' : 'Nothing came.');
}

export function build() {
  $('tail-stop').addEventListener('click', stop);
  $('tail-clear').addEventListener('click', clear);
  $('tail-pause').addEventListener('click', () => {
    paused = !paused;
    if (!paused) { put(held); held = []; }
    counter();
  });
}

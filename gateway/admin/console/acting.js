// What changes something: it needs the API's key, unless the node is open to all who reach it.

import { $, el, button, setText } from './dom.js';
import { ask, key } from './node.js';

let acts = ''; // open, key or off, as the node says
const waiting = new Set(); // what is shown differently when one may act

export const may = () => acts === 'open' || (acts === 'key' && key.get() !== '');

// whenChanged calls f now and whenever what may be done has changed, while node is on the page.
export function whenChanged(node, f) {
  waiting.add({ node, f });
  f();
}

function changed() {
  showKey();
  for (const one of waiting) {
    if (one.node.isConnected) one.f();
    else waiting.delete(one);
  }
}

export function learn(o) {
  if (o.acts === acts) return;
  acts = o.acts;
  changed();
}

// act carries out what needs the key. A key that is not right any more is forgotten.
export async function act(path, body) {
  try {
    return (await ask(path, body)).result;
  } catch (err) {
    if (err.status === 401 && key.get()) {
      key.forget();
      changed();
    }
    throw err;
  }
}

// twice is a button that has to be pressed again within some seconds.
export function twice(text, sure, className, run) {
  let timer = 0;
  const node = button(text, className, () => {
    if (timer === 0) {
      node.textContent = sure;
      node.classList.add('sure');
      timer = setTimeout(rest, 4000);
      return;
    }
    rest();
    run();
  });
  const rest = () => {
    clearTimeout(timer);
    timer = 0;
    node.textContent = text;
    node.classList.remove('sure');
  };
  whenChanged(node, () => {
    node.disabled = !may();
    node.title = may() ? '' : readOnly();
  });
  return node;
}

export const readOnly = () => (acts === 'off' ? 'Read-only: no API key is configured' : 'Read-only: enter the API key first');

// hint is a line that says so where something cannot be done.
export function hint() {
  const node = el('p', 'readonly', button('Enter the key', 'link', openDialog));
  const text = el('span', '');
  node.prepend(text);
  whenChanged(node, () => {
    node.hidden = may();
    setText(text, `${readOnly()}. `);
    node.lastChild.textContent = acts === 'off' ? 'How to set one' : 'Enter the key';
  });
  return node;
}

function showKey() {
  const node = $('key');
  const [text, tone] = acts === 'open' ? ['Open', 'warn'] : may() ? ['Key given', 'good'] : ['Read-only', ''];
  setText(node, text);
  node.dataset.tone = tone;
  node.title = acts === 'open' ? 'Dev mode: whoever reaches this page may publish and disconnect' : may() ? 'You may publish and disconnect' : readOnly();
}

function openDialog() {
  const has = acts === 'key' && key.get() !== '';
  setText($('h-key'), acts === 'open' ? 'Open' : has ? 'Key given' : 'Read-only');
  setText($('key-text'), acts === 'open' ? 'This node runs in dev mode without a key: whoever reaches its admin port may publish and disconnect. With api.key or api.key_file it asks for that.'
    : acts === 'off' ? 'No API key is configured on this node, so nobody may publish or disconnect from here. Give it one, and restart it:'
    : has ? 'You may publish and disconnect. The key is kept in this tab only, until it is closed.'
    : 'With the node’s API key (api.key) you may publish and disconnect. It is kept in this tab only, until it is closed.');
  $('key-how').hidden = acts !== 'off';
  $('key-field').hidden = acts !== 'key' || has;
  $('key-ok').hidden = acts !== 'key' || has;
  $('key-forget').hidden = !has;
  setText($('key-result'), '');
  $('key-input').value = '';
  $('key-dialog').showModal();
}

async function tryKey(e) {
  e.preventDefault();
  const given = $('key-input').value.trim();
  if (!given || /[^\x21-\x7e]/.test(given)) {
    setText($('key-result'), 'A key has letters, digits and punctuation of ASCII only.');
    return;
  }
  setText($('key-result'), '');
  try {
    await ask('/api/info', {}, given);
  } catch (err) {
    setText($('key-result'), err.status === 401 ? 'This is not the key.' : err.message);
    return;
  }
  key.set(given);
  $('key-dialog').close();
  changed();
}

export function build() {
  $('key').addEventListener('click', openDialog);
  $('key-form').addEventListener('submit', tryKey);
  $('key-close').addEventListener('click', () => $('key-dialog').close());
  $('key-forget').addEventListener('click', () => { key.forget(); $('key-dialog').close(); changed(); });
  showKey();
}

// Elements and words. Whatever comes from the network reaches the page as text only
// (textContent); the policy sent with the page forbids anything else.

export const $ = (id) => document.getElementById(id);

// el makes an element from text and children, never from markup.
export function el(tag, className, ...children) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  node.append(...children.filter((c) => c !== null && c !== undefined && c !== ''));
  return node;
}

export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

// fill replaces the children, keeping none.
export const fill = (node, ...children) => node.replaceChildren(...children.filter(Boolean));

export function button(text, className, act) {
  const node = el('button', className, text);
  node.type = 'button';
  node.addEventListener('click', act);
  return node;
}

const two = (n) => String(n).padStart(2, '0');
export const clock = (d) => `${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())}`;
export const clockMs = (d) => `${clock(d)}.${String(d.getMilliseconds()).padStart(3, '0')}`;
export const whole = (n) => Math.round(Number(n ?? 0)).toLocaleString('en');
export const plural = (n, word, many = `${word}s`) => `${whole(n)} ${n === 1 ? word : many}`;

// short keeps a number to four characters or so: 950, 12.3k, 1.25M.
export function short(n) {
  const a = Math.abs(n);
  if (a >= 999500) return `${(n / 1e6).toFixed(a < 9.995e6 ? 2 : 1)}M`;
  if (a >= 9995) return `${(n / 1e3).toFixed(a < 99950 ? 1 : 0)}k`;
  if (a >= 100 || Number.isInteger(n)) return whole(n);
  return n.toFixed(a < 10 ? 1 : 0);
}

export function bytes(n) {
  if (n < 1024) return `${Math.round(n)} B`;
  if (n < 1024 ** 2) return `${(n / 1024).toFixed(1)} KiB`;
  if (n < 1024 ** 3) return `${(n / 1024 ** 2).toFixed(1)} MiB`;
  return `${(n / 1024 ** 3).toFixed(1)} GiB`;
}

// span is a short time, given in seconds.
export function span(s) {
  if (s < 0) return '–';
  if (s < 0.001) return `${Math.round(s * 1e6)} µs`;
  if (s < 0.01) return `${(s * 1e3).toFixed(1)} ms`;
  if (s < 1) return `${Math.round(s * 1e3)} ms`;
  if (s < 10) return `${s.toFixed(1)} s`;
  return duration(s);
}

export function duration(seconds) {
  const s = Math.floor(seconds);
  if (s < 120) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ${Math.floor(s / 60) % 60} min`;
  return `${Math.floor(s / 86400)} d ${Math.floor(s / 3600) % 24} h`;
}

// table makes one from headings and rows of cells; a heading that begins with # is of numbers.
export function table(headings, rows) {
  const numbers = headings.map((h) => h.startsWith('#'));
  const cell = (tag, i, content) => el(tag, numbers[i] ? 'n' : '', content);
  const head = el('tr', '', ...headings.map((h, i) => {
    const th = cell('th', i, numbers[i] ? h.slice(1) : h);
    th.scope = 'col';
    return th;
  }));
  const body = rows.map((row) => el('tr', '', ...row.map((c, i) => cell('td', i, c))));
  return el('div', 'scroll', el('table', '', el('thead', '', head), el('tbody', '', ...body)));
}

export const chip = (text, tone) => {
  const node = el('span', 'chip', text);
  if (tone) node.dataset.tone = tone;
  return node;
};

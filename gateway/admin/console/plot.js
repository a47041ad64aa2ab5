// Small plots of the last minutes. All of them show the same stretch of time, and a point in
// one is a point in all.

import { el, clock, setText } from './dom.js';

export const stretch = 300e3; // ms
const width = 300, height = 80, floor = 2, ceiling = 16; // of the drawing; above the ceiling stands what it is worth
const plots = [];
let samples = []; // oldest first
let pointed = null; // ms since 1970; null: nothing is pointed at

const svg = (tag, attributes) => {
  const node = document.createElementNS('http://www.w3.org/2000/svg', tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  return node;
};

// level is a series that stands in the samples, rate one that is how fast a counter grows.
// Where there is nothing to show they return null.
export const level = (name) => (i) => {
  const v = samples[i][name];
  return v === undefined || v < 0 ? null : v;
};
export const rate = (...names) => (i) => {
  if (i === 0) return null;
  const now = samples[i], before = samples[i - 1];
  const seconds = (now.time - before.time) / 1000;
  const grown = names.reduce((sum, name) => sum + now[name] - before[name], 0);
  return seconds <= 0 || seconds > 10 || grown < 0 ? null : grown / seconds;
};

// setPast takes what the node remembers, add the newest sample.
export function setPast(list) {
  samples = list;
}
export function add(sample) {
  const last = samples.at(-1);
  if (last && sample.time <= last.time) return;
  samples.push(sample);
  while (samples[0].time < sample.time - stretch - 2000) samples.shift();
}

// Plot is one card: {id, title, series: [{name, value, tone}], format, unit, least, sub(overview, said),
// after(overview), alarm(overview), hint}.
export class Plot {
  constructor(of) {
    this.of = of;
    this.value = el('span', '');
    this.after = el('small', '');
    this.sub = el('p', 'sub');
    this.top = el('span', 'top');
    this.readout = el('span', 'readout');
    this.svg = svg('svg', { viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: 'none', 'aria-hidden': 'true' });
    this.svg.append(svg('line', { class: 'base', x1: 0, x2: width, y1: height - 0.5, y2: height - 0.5 }),
      svg('line', { class: 'grid', x1: 0, x2: width, y1: ceiling, y2: ceiling }));
    this.areas = of.series.map((s) => this.path(`area ${s.tone}`));
    this.lines = of.series.map((s) => this.path(`line ${s.tone}`));
    this.cross = svg('line', { class: 'cross', y1: 0, y2: height, visibility: 'hidden' });
    this.svg.append(this.cross);
    const legend = of.series.length > 1 ? el('p', 'legend', ...of.series.map((s) => el('span', s.tone, s.name))) : null;
    this.chart = el('div', 'chart', this.svg, this.top);
    this.card = el('section', 'card plot', el('div', 'plot-head', el('h2', '', of.title), legend), el('p', 'value', this.value, this.after), this.chart,
      el('div', 'plot-foot', this.sub, this.readout));
    this.card.tabIndex = 0;
    this.card.dataset.plot = of.id;
    this.card.title = of.hint;
    this.chart.addEventListener('pointermove', (e) => this.pointAt(e));
    this.chart.addEventListener('pointerleave', () => point(null));
    this.card.addEventListener('keydown', (e) => this.key(e));
    this.card.addEventListener('blur', () => point(null));
    plots.push(this);
  }

  path(className) {
    const node = svg('path', { class: className });
    this.svg.append(node);
    return node;
  }

  pointAt(e) {
    const box = this.chart.getBoundingClientRect();
    const end = samples.at(-1)?.time ?? Date.now();
    point(end - stretch + ((e.clientX - box.left) / box.width) * stretch);
  }

  key(e) {
    const steps = { ArrowLeft: -1, ArrowRight: 1, PageUp: -30, PageDown: 30, Home: -1e9, End: 1e9 };
    if (e.key === 'Escape') return point(null);
    if (!(e.key in steps) || samples.length === 0) return undefined;
    e.preventDefault();
    const from = pointed === null ? samples.length : nearest(pointed);
    const i = Math.min(samples.length - 1, Math.max(0, from + steps[e.key]));
    return point(samples[i].time);
  }

  // draw shows the newest sample, or the one that is pointed at.
  draw(overview) {
    if (samples.length === 0) return;
    const end = samples.at(-1).time;
    const values = this.of.series.map((s) => samples.map((_, i) => s.value(i)));
    const most = Math.max(this.of.least ?? 0, ...values.flat().filter((v) => v !== null));
    const top = nice(most);
    const x = (t) => width - ((end - t) / stretch) * width;
    const y = (v) => height - floor - (v / top) * (height - floor - ceiling);
    values.forEach((list, i) => {
      const runs = split(list);
      this.lines[i].setAttribute('d', runs.map((run) => trace(run, list, x, y)).join(''));
      this.areas[i].setAttribute('d', i > 0 ? '' : runs.map((run) =>
        `${trace(run, list, x, y)}L${x(samples[run.at(-1)].time).toFixed(1)} ${height}L${x(samples[run[0]].time).toFixed(1)} ${height}Z`).join(''));
    });
    setText(this.top, this.of.format(top));
    this.show(values, overview, x);
  }

  show(values, overview, x) {
    const i = pointed === null ? samples.length - 1 : nearest(pointed);
    const said = values.map((list) => (list[i] === null ? '–' : this.of.format(list[i])));
    setText(this.value, said[0] + (said[0] === '–' ? '' : this.of.unit ?? ''));
    const at = pointed === null ? '' : clock(new Date(samples[i].time));
    setText(this.sub, at || !overview ? '' : this.of.sub(overview, said)); // which is of the newest sample
    setText(this.after, this.of.after && overview ? this.of.after(overview) : '');
    setText(this.readout, at && [at, ...said.slice(1).map((v, n) => `${this.of.series[n + 1].name} ${v}`)].join(' · '));
    this.card.classList.toggle('alarm', Boolean(overview && this.of.alarm?.(overview)));
    this.cross.setAttribute('visibility', pointed === null ? 'hidden' : 'visible');
    if (pointed !== null) {
      this.cross.setAttribute('x1', x(samples[i].time));
      this.cross.setAttribute('x2', x(samples[i].time));
    }
    this.card.setAttribute('aria-label', `${this.of.title}: ${this.of.series.map((s, n) => `${s.name} ${said[n]}${this.of.unit ?? ''}`).join(', ')}${at ? ` at ${at}` : ''}`);
  }
}

let newest = null;
export function drawAll(overview) {
  newest = overview ?? newest;
  for (const p of plots) p.draw(newest);
}

function point(t) {
  if (t === pointed) return;
  pointed = t;
  drawAll();
}

function nearest(t) {
  let best = 0;
  samples.forEach((s, i) => { if (Math.abs(s.time - t) < Math.abs(samples[best].time - t)) best = i; });
  return best;
}

// split is the stretches without a hole, as lists of indices.
function split(list) {
  const runs = [];
  let run = [];
  list.forEach((v, i) => {
    const late = run.length > 0 && samples[i].time - samples[run.at(-1)].time > 4000;
    if ((v === null || late) && run.length > 0) { runs.push(run); run = []; }
    if (v !== null) run.push(i);
  });
  if (run.length > 0) runs.push(run);
  return runs;
}

const trace = (run, list, x, y) => run.map((i, n) => `${n === 0 ? 'M' : 'L'}${x(samples[i].time).toFixed(1)} ${y(list[i]).toFixed(1)}`).join('') +
  (run.length === 1 ? 'h1' : '');

// nice is a round number that is not below v.
function nice(v) {
  if (v <= 0) return 1;
  const ten = 10 ** Math.floor(Math.log10(v));
  return [1, 1.5, 2, 3, 4, 5, 7.5, 10].find((f) => f * ten >= v * 1.02) * ten || v * 1.1;
}

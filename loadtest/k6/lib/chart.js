import { quantity } from './table.js';
import { escape } from './text.js';

// Sizes in units of the drawing.
const width = 900, height = 190, left = 62, right = 8, top = 8, bottom = 22;

const lines = {
  time: [['p(99)', 'p99', 'var(--accent3)'], ['p(95)', 'p95', 'var(--accent2)'], ['med', 'median', 'var(--accent)']],
  count: [['count', 'in each part', 'var(--accent)']],
  share: [['rate', 'share', 'var(--accent)']],
  level: [['max', 'at most', 'var(--accent)']],
};

// chart draws how a figure changed over the parts of a run, as an SVG.
export function chart({ title, kind, unit, parts }) {
  const drawn = lines[kind];
  const most = ceiling(Math.max(...parts.filter((p) => p !== null).map((p) => p[drawn[0][0]]), 0));
  const x = (i) => left + ((i + 0.5) / parts.length) * (width - left - right);
  const y = (value) => height - bottom - (value / most) * (height - top - bottom);
  const grid = [0, most / 2, most].map((value) =>
    `<line x1="${left}" x2="${width - right}" y1="${y(value)}" y2="${y(value)}" stroke="var(--line)"/><text x="${left - 8}" y="${y(value) + 4}" text-anchor="end">${escape(quantity(kind, value, unit))}</text>`);
  const curves = drawn.map(([stat, , colour]) => curve(parts.map((p, i) => (p === null ? null : [x(i), y(p[stat])])), colour));
  return `<figure><figcaption><b>${escape(title)}</b>${drawn.map(([, name, colour]) => `<span class="key"><i style="background:${colour}"></i>${name}</span>`).join('')}</figcaption>
<div class="scroll"><svg viewBox="0 0 ${width} ${height}" role="img" aria-label="${escape(title)} over the run">
${grid.join('\n')}
${curves.join('\n')}
<text x="${left}" y="${height - 6}">beginning</text><text x="${width - right}" y="${height - 6}" text-anchor="end">end</text>
</svg></div></figure>`;
}

// curve draws points, and passes over those that are null.
function curve(points, colour) {
  const there = points.filter((p) => p !== null).map(([x, y]) => [x.toFixed(1), y.toFixed(1)]);
  const dots = there.map(([x, y]) => `<circle cx="${x}" cy="${y}" r="2.5" fill="${colour}"/>`).join('');
  return `<path d="${there.map(([x, y], i) => `${i === 0 ? 'M' : 'L'}${x} ${y}`).join('')}" fill="none" stroke="${colour}" stroke-width="2" stroke-linejoin="round"/>${dots}`;
}

// ceiling is a round number not below value: 1, 2 or 5 times a power of ten.
function ceiling(value) {
  if (!(value > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((step) => step * power).find((step) => step >= value);
}

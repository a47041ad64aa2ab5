import { chart } from './chart.js';
import { number, oneLine, quantity, wanted } from './table.js';
import { escape } from './text.js';

// page is the report as one HTML file that needs nothing else: no network, no script.
export function page(summary) {
  const failed = summary.verdicts.filter((v) => !v.ok).length;
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escape(summary.title)}: ${summary.verdict ? 'passed' : 'failed'}</title>
<style>${style}</style>
</head>
<body>
<main>
<header>
  <p class="kicker">Sluice load test · <code>${escape(summary.script)}.js</code></p>
  <h1>${escape(summary.title)}</h1>
  <p class="question">${escape(summary.question)}</p>
  <div class="verdict ${summary.verdict ? 'good' : 'bad'}"><b>${summary.verdict ? 'Passed' : 'Failed'}</b>
    <span>${summary.verdict ? `all ${summary.verdicts.length} thresholds held` : `${failed} of ${summary.verdicts.length} thresholds did not hold`}</span></div>
  <p class="muted">${escape(summary.at.replace('T', ' ').slice(0, 19))} UTC · ${number(Math.round(summary.seconds))} s · ${number(summary.k6.connections)} connections · ${number(summary.k6.received)} messages received, ${number(summary.k6.sent)} sent · ${number(summary.k6.vus)} VUs</p>
</header>
${section('What had to hold', verdicts(summary))}
${summary.series.some((s) => s.parts.filter((p) => p !== null).length > 1) ? section('Over the run', summary.series.map(chart).join('\n')) : ''}
${section('Figures', figures(summary.figures.filter((f) => f.kind !== 'count' || !summary.verdicts.some((v) => v.name === f.name))))}
${summary.notes.length > 0 ? section('How to read them', `<ul>${summary.notes.map((n) => `<li>${escape(n)}</li>`).join('')}</ul>`) : ''}
${section('Settings', settings(summary.settings))}
${summary.dashboard ? `<p class="more"><a href="${escape(summary.dashboard)}">k6’s own report</a> has all of k6’s metrics over time.</p>` : ''}
</main>
</body>
</html>
`;
}

const section = (title, body) => `<section><h2>${title}</h2>${body}</section>`;

function verdicts({ verdicts: all, figures: shown }) {
  const rows = all.map((v) => {
    const figure = shown.find((f) => f.name === v.name);
    const kind = figure ? figure.kind : 'count';
    return `<tr class="${v.ok ? 'good' : 'bad'}"><td class="mark">${v.ok ? '✓' : '✗'}</td><td>${escape(v.title)}</td>
      <td class="num">${v.got === null || !figure ? 'not measured' : quantity(kind, v.got, figure.unit)}</td><td class="muted">${escape(wanted(v.limit, kind))}</td></tr>`;
  });
  return `<div class="scroll"><table><thead><tr><th></th><th>what</th><th class="num">is</th><th>wanted</th></tr></thead><tbody>${rows.join('\n')}</tbody></table></div>`;
}

function figures(shown) {
  const times = shown.filter((f) => f.kind === 'time');
  const others = shown.filter((f) => f.kind !== 'time');
  const stats = ['min', 'med', 'p(95)', 'p(99)', 'max'];
  const timeRow = (title, v, sub) => `<tr${sub ? ' class="sub"' : ''}><td>${escape(title)}</td>${stats.map((s) => `<td class="num">${quantity('time', v[s])}</td>`).join('')}<td class="num">${number(v.count)}</td></tr>`;
  const otherRow = (f, title, v, sub) => `<tr${sub ? ' class="sub"' : ''}><td>${escape(title)}</td><td class="num">${escape(oneLine({ ...f, values: v }))}</td></tr>`;
  const rows = (f, row) => [row(f, f.title, f.values), ...f.by.filter((r) => r.values.count !== 0).map((r) => row(f, r.value, r.values, true))].join('\n');
  return (times.length === 0 ? '' : `<div class="scroll"><table><thead><tr><th>time</th><th class="num">least</th><th class="num">median</th><th class="num">p95</th><th class="num">p99</th><th class="num">most</th><th class="num">samples</th></tr></thead><tbody>
${times.map((f) => rows(f, (_, title, v, sub) => timeRow(title, v, sub))).join('\n')}</tbody></table></div>`)
    + (others.length === 0 ? '' : `<div class="scroll"><table><thead><tr><th>counts and shares</th><th class="num"></th></tr></thead><tbody>
${others.map((f) => rows(f, otherRow)).join('\n')}</tbody></table></div>`);
}

function settings(shown) {
  return `<dl>${Object.entries(shown).filter(([, value]) => value !== '').map(([name, value]) => `<div><dt>${escape(name)}</dt><dd>${escape(value)}</dd></div>`).join('')}</dl>`;
}

const style = `
:root { --bg: #f4f6f8; --card: #fff; --line: #dde2e8; --text: #161b22; --muted: #566170; --accent: #0f766e; --accent2: #b45309; --accent3: #7c3aed;
  --good: #146c36; --good-soft: #e1f4e7; --bad: #b3261e; --bad-soft: #fde8e6; color-scheme: light; }
@media (prefers-color-scheme: dark) { :root { --bg: #0d1116; --card: #151b22; --line: #28313b; --text: #e7ebf0; --muted: #9ba7b4; --accent: #2dd4bf; --accent2: #f5bd4f; --accent3: #b79bff;
  --good: #5ee08f; --good-soft: #12301f; --bad: #ff8a80; --bad-soft: #3a1a1b; color-scheme: dark; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--bg); color: var(--text); font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
main { max-width: 960px; margin: 0 auto; padding: 32px 20px 48px; }
h1 { margin: 2px 0 0; font-size: 26px; line-height: 1.2; letter-spacing: -.01em; }
h2 { margin: 0 0 12px; font-size: 15px; font-weight: 650; }
p { margin: 8px 0 0; }
code { font: 12.5px ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; }
.kicker, .muted { color: var(--muted); }
.kicker { margin: 0; font-size: 13px; }
.question { font-size: 16px; }
.verdict { display: flex; flex-wrap: wrap; gap: 2px 12px; align-items: baseline; margin-top: 16px; padding: 12px 16px; border-radius: 10px; }
.verdict b { font-size: 18px; }
.verdict.good { background: var(--good-soft); color: var(--good); }
.verdict.bad { background: var(--bad-soft); color: var(--bad); }
section { margin-top: 20px; padding: 18px 20px; background: var(--card); border: 1px solid var(--line); border-radius: 12px; }
.scroll { overflow-x: auto; }
.scroll + .scroll { margin-top: 16px; }
table { width: 100%; border-collapse: collapse; font-size: 14px; }
th { text-align: left; font-weight: 500; font-size: 12.5px; color: var(--muted); }
th, td { padding: 6px 22px 6px 0; border-bottom: 1px solid var(--line); vertical-align: baseline; }
th:last-child, td:last-child { padding-right: 0; }
tr:last-child td { border-bottom: 0; }
.num { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.mark { width: 1.6em; font-weight: 700; }
tr.good .mark { color: var(--good); }
tr.bad .mark, tr.bad .num { color: var(--bad); font-weight: 650; }
tr.sub td { color: var(--muted); }
tr.sub td:first-child { padding-left: 16px; }
ul { margin: 0; padding-left: 18px; }
li + li { margin-top: 4px; }
dl { display: grid; grid-template-columns: repeat(auto-fill, minmax(200px, 1fr)); gap: 8px 20px; margin: 0; }
dt { font-size: 12px; color: var(--muted); }
dd { margin: 0; font: 12.5px ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; overflow-wrap: anywhere; }
a { color: var(--accent); }
.more { margin: 20px 20px 0; }
figure { margin: 0; }
figure + figure { margin-top: 20px; }
figcaption { display: flex; flex-wrap: wrap; gap: 2px 16px; font-size: 13.5px; margin-bottom: 4px; }
figcaption .key { color: var(--muted); }
figcaption .key i { display: inline-block; width: 10px; height: 10px; border-radius: 3px; margin-right: 6px; }
svg { display: block; width: 100%; min-width: 560px; height: auto; }
svg text { font: 11px system-ui, sans-serif; fill: var(--muted); }
`;

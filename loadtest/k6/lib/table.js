// milliseconds, thousands and shares as people read them.
export function ms(value) {
  if (value === null || value === undefined) return '–';
  if (value === 0) return '0 ms';
  if (value >= 100000) return `${(value / 1000).toFixed(0)} s`;
  if (value >= 10000) return `${(value / 1000).toFixed(1)} s`;
  return `${value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2)} ms`;
}

export function number(value) {
  if (value === null || value === undefined) return '–';
  const rounded = Math.abs(value) >= 100 || Number.isInteger(value) ? Math.round(value) : Math.round(value * 100) / 100;
  const [whole, rest] = String(rounded).split('.');
  return whole.replace(/\B(?=(\d{3})+$)/g, ',') + (rest ? `.${rest}` : '');
}

export function percent(value) {
  return value === null || value === undefined ? '–' : `${number(Math.floor(value * 10000) / 100)} %`;
}

// quantity is a value of a figure, with its unit.
export function quantity(kind, value, unit) {
  if (kind === 'time') return ms(value);
  if (kind === 'share') return percent(value);
  return number(value) + (unit && value !== null ? ` ${unit}` : '');
}

// oneLine is what a figure came to.
export function oneLine(figure) {
  const v = figure.values;
  if (figure.kind === 'time') return `median ${ms(v.med)}, p95 ${ms(v['p(95)'])}, p99 ${ms(v['p(99)'])}, max ${ms(v.max)}, of ${number(v.count)}`;
  if (figure.kind === 'share') return `${percent(v.rate)} (${number(v.passes)} of ${number(v.passes + v.fails)})`;
  if (figure.kind === 'level') return `${quantity('level', v.value, figure.unit)} at the end, ${number(v.min)} to ${number(v.max)}`;
  return number(v.count);
}

// wanted is a threshold in words that fit behind a figure's title.
export function wanted(limit, kind) {
  const [, what, sign, bound] = limit.match(/^([a-z]+(?:\([\d.]+\))?)\s*([<>=]+)\s*([\d.]+)$/);
  const words = { '<': 'below', '<=': 'at most', '>': 'above', '>=': 'at least', '==': 'exactly' }[sign];
  const subject = { count: '', rate: '', value: '', med: 'median ', max: 'at worst ' }[what];
  return `${subject === undefined ? what.replace(/p\((.*)\)/, 'p$1 ') : subject}${words} ${quantity(kind, Number(bound))}`;
}

// table is the report for a terminal.
export function table(summary, file) {
  const kinds = Object.fromEntries(summary.figures.map((f) => [f.name, f]));
  const kindOf = (v) => (kinds[v.name] || { kind: /^(p\(|med|max)/.test(v.limit) ? 'time' : /^rate/.test(v.limit) ? 'share' : 'count' });
  const lines = ['', `${summary.script}: ${summary.question}`, ''];
  const width = Math.max(10, ...summary.verdicts.map((v) => v.title.length), ...summary.figures.map((f) => f.title.length));
  for (const v of summary.verdicts) {
    const { kind, unit } = kindOf(v);
    lines.push(`  ${v.ok ? '✓' : '✗'} ${v.title.padEnd(width)}  ${(v.got === null ? 'not measured' : quantity(kind, v.got, unit)).padEnd(12)}  wanted: ${wanted(v.limit, kind)}`);
  }
  lines.push('');
  for (const f of summary.figures.filter((f) => f.kind === 'time' || !summary.verdicts.some((v) => v.name === f.name))) {
    lines.push(`    ${f.title.padEnd(width)}  ${oneLine(f)}`);
    for (const row of f.by) if (row.values.count !== 0) lines.push(`      ${row.value.padEnd(width - 2)}  ${oneLine({ ...f, values: row.values })}`);
  }
  const failed = summary.verdicts.filter((v) => !v.ok).length;
  lines.push('', `  ${summary.verdict ? 'All thresholds held' : `${failed} of ${summary.verdicts.length} thresholds did not hold`}, in ${summary.seconds.toFixed(0)} s. Report: ${file}`, '', '');
  return lines.join('\n');
}

import { page } from './page.js';
import { metricOf, parts } from './shape.js';
import { table } from './table.js';

// trendStats is what scripts have k6 work out for each time: options.summaryTrendStats.
export const trendStats = ['min', 'med', 'p(95)', 'p(99)', 'max', 'count'];

// report makes a script's handleSummary: a table for the terminal, and OUT/<script>.html and .json.
export function report(about) {
  return (data) => {
    const summary = summarize(data, about, new Date());
    const file = `${about.settings.OUT}/${about.script}`;
    // k6 prints why below: the server or Redis could not be reached, or refused. A page of nothing would hide that.
    if (summary.k6.connections === 0 || summary.figures.every((f) => f.kind === 'count' && f.values.count === 0)) return { stdout: `\n${about.script}: the run did not begin; there is no report\n\n` };
    return {
      stdout: table(summary, `${file}.html`),
      [`${file}.html`]: page(summary),
      [`${file}.json`]: JSON.stringify(summary, null, 2) + '\n',
    };
  };
}

// summarize is all that a report shows, of k6's data at the end of a run.
//
//   verdicts  what had to hold, and whether it did
//   figures   every metric of the script that had a sample
//   series    those over the run: one entry for each part
export function summarize(data, { script, title, question, settings, figures, notes = [] }, at) {
  const verdicts = [], shown = [], series = [];
  for (const [name, figure] of Object.entries(figures.plan)) {
    const metric = data.metrics[metricOf(name, figure)];
    for (const limit of figure.limits) {
      const held = metric && metric.thresholds && metric.thresholds[limit];
      const measured = metric && !silent(figure, metric.values); // to k6, what was never measured was below any limit
      verdicts.push({ name, title: figure.title, limit, ok: Boolean(measured && held && held.ok), got: measured ? valueOf(limit, metric.values) : null });
    }
    if (metric === undefined || silent(figure, metric.values)) continue;
    const rows = (figure.values || []).map((value) => [value, data.metrics[`${metricOf(name, figure)}{${figure.by}:${value}}`]]).filter(([, m]) => m && !silent(figure, m.values));
    shown.push({ name, title: figure.title, kind: figure.kind, unit: figure.unit, values: metric.values, by: rows.map(([value, m]) => ({ value, values: m.values })) });
    if (figure.over) series.push({ name, title: figure.title, kind: figure.kind, unit: figure.unit, parts: pieces(data, name, figure) });
  }
  const verdict = verdicts.length > 0 && verdicts.every((v) => v.ok);
  return {
    script, title, question, verdict, at: at.toISOString(), seconds: data.state.testRunDurationMs / 1000,
    settings: settings.shown, dashboard: dashboard(), verdicts, figures: shown, series, notes, k6: k6Figures(data),
  };
}

// silent is whether nothing was measured. A count of nothing is a result.
function silent(figure, values) {
  if (figure.kind === 'time') return !(values.count > 0);
  if (figure.kind === 'share') return !(values.passes + values.fails > 0);
  return false;
}

function pieces(data, name, figure) {
  return Array.from({ length: parts }, (_, i) => {
    const metric = data.metrics[`${metricOf(name, figure)}{part:${i}}`];
    // To k6 a level that was never looked at is 0.
    return metric && !silent(figure, metric.values) && !(figure.kind === 'level' && metric.values.max === 0) ? metric.values : null;
  });
}

// valueOf is the value that a threshold like 'p(95)<50' is about.
function valueOf(limit, values) {
  const what = limit.match(/^[a-z]+(\(\d+(\.\d+)?\))?/)[0];
  return values[what] === undefined ? null : values[what];
}

function k6Figures(data) {
  const value = (name, key) => (data.metrics[name] ? data.metrics[name].values[key] : 0);
  return {
    connections: value('ws_sessions', 'count'), received: value('ws_msgs_received', 'count'), sent: value('ws_msgs_sent', 'count'),
    bytesReceived: value('data_received', 'count'), bytesSent: value('data_sent', 'count'), vus: value('vus_max', 'max'),
  };
}

// dashboard is the file of k6's own report, if it writes one: load.sh has it do so.
function dashboard() {
  const file = (globalThis.__ENV || {}).K6_WEB_DASHBOARD_EXPORT;
  return file ? file.split('/').pop() : null;
}

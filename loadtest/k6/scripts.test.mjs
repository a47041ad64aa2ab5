// Loads every script as k6 would, with modules that do nothing in place of k6's
// own, and looks at its options. Run by the Go test beside it, or: node --test loadtest/k6
import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { register } from 'node:module';
import test from 'node:test';

const k6 = {
  k6: 'export const sleep = () => {};',
  'k6/execution': 'export default {};',
  'k6/experimental/redis': 'export default { Client: class {} };',
  'k6/http': 'export default {};',
  'k6/metrics': 'class Metric { constructor(name) { globalThis.made.add(name); } } export { Metric as Counter, Metric as Gauge, Metric as Rate, Metric as Trend };',
  'k6/websockets': 'export class WebSocket {}',
  'k6/ws': 'export default {};',
};
const hooks = `
const k6 = ${JSON.stringify(k6)};
export async function resolve(name, context, next) {
  if (name in k6) return { url: 'data:text/javascript,' + encodeURIComponent(k6[name]), shortCircuit: true };
  if (!name.startsWith('.') && !name.startsWith('file:')) throw new Error('imports ' + name + ', which is not here: scripts run offline');
  return next(name, context);
}`;
register(`data:text/javascript,${encodeURIComponent(hooks)}`);

const here = new URL('.', import.meta.url);
const scripts = readdirSync(here).filter((name) => /^[a-z]+\.js$/.test(name)).map((name) => name.slice(0, -3));
const settingsOf = (source) => [...source.match(/= settings\(\{(.*)\}\)/)[1].matchAll(/([A-Z0-9_]+): /g)].map((m) => m[1]);
const common = ['URL', 'REDIS', 'PREFIX', 'NAMESPACE', 'TOKEN', 'OUT'];

globalThis.made = new Set();
globalThis.__ENV = {};

for (const name of scripts) {
  test(`${name}.js`, async () => {
    globalThis.made.clear();
    const script = await import(new URL(`${name}.js`, here));
    const { scenarios, thresholds } = script.options;
    for (const [scenario, { exec }] of Object.entries(scenarios)) assert.equal(typeof script[exec], 'function', `${scenario} runs ${exec}`);
    assert.equal(typeof script.setup, 'function');
    for (const [metric, limits] of Object.entries(thresholds)) {
      assert.ok(globalThis.made.has(metric.split('{')[0]) || metric === 'dropped_iterations', `there is no metric ${metric}`);
      for (const limit of limits) assert.match(limit, /^(p\(\d+\)|med|max|count|rate|value)(<|>|<=|>=|==)\d+(\.\d+)?$/);
    }
    assert.ok(Object.values(scenarios).some((s) => s.stages), 'it has stages');
    assert.deepEqual(Object.keys(script.handleSummary({ state: { testRunDurationMs: 1000 }, metrics: {} })), ['stdout'], 'there is no report of a run that did not begin');
    const files = script.handleSummary({ state: { testRunDurationMs: 1000 }, metrics: { ws_sessions: { values: { count: 1 } }, sluice_connected: { values: { rate: 1, passes: 1, fails: 0 } } } });
    assert.ok(files[`out/k6/${name}.html`].includes('Failed'), 'a run that measured nothing has not passed');
    const { question } = JSON.parse(files[`out/k6/${name}.json`]);
    assert.ok(readme.includes(question), `the README does not ask: ${question}`);
    for (const setting of settingsOf(readFileSync(new URL(`${name}.js`, here), 'utf8'))) assert.ok(readme.includes(`\`${setting}\``), `the README does not say what ${setting} is`);
  });
}

const readme = readFileSync(new URL('README.md', here), 'utf8');

test('the README’s table has every script, and commands that exist', () => {
  const rows = [...readme.matchAll(/^\| \[`([a-z]+)\.js`\]\(([a-z]+)\.js\) \| .* \| `(.*)` \|$/gm)];
  assert.deepEqual(rows.map((r) => r[1]).sort(), scripts.sort());
  for (const [, name, link] of rows) assert.equal(link, name);
  const makefile = readFileSync(new URL('../../Makefile', here), 'utf8');
  assert.match(makefile, /^load: ## /m);
  for (const [, script] of readme.matchAll(/SCRIPT=([a-z]+)/g)) assert.ok(script === 'all' || scripts.includes(script), `there is no ${script}.js`);
});

test('every setting in a command of the README is one of its script', () => {
  for (const [line] of readme.matchAll(/^.*(make load|k6 run).*$/gm)) {
    const name = (line.match(/SCRIPT=([a-z]+)/) || line.match(/loadtest\/k6\/([a-z]+)\.js/) || ['', 'fanout'])[1];
    const known = name === 'all' ? common : [...common, ...settingsOf(readFileSync(new URL(`${name}.js`, here), 'utf8'))];
    for (const [, setting] of line.matchAll(/-e ([A-Z0-9_]+)=/g)) assert.ok(known.includes(setting), `${line}\n${name}.js has no setting ${setting}`);
  }
});

test('one version of k6', () => {
  const version = readFileSync(new URL('load.sh', here), 'utf8').match(/^version=(v[\d.]+)$/m)[1];
  for (const [, named] of readme.matchAll(/k6@?\s?(v\d+\.\d+\.\d+)/g)) assert.equal(named, version);
});

// Tests of what needs no k6. Run by the Go test beside it, or: node --test loadtest/k6
import assert from 'node:assert/strict';
import test from 'node:test';
import { chart } from './lib/chart.js';
import { page } from './lib/page.js';
import { decode, encode } from './lib/payload.js';
import { Sequence } from './lib/sequence.js';
import { seconds, settings } from './lib/settings.js';
import { parts } from './lib/shape.js';
import { report, summarize } from './lib/summary.js';
import { number, percent, quantity, table, wanted } from './lib/table.js';

test('a sequence tells missing, double and late apart', () => {
  for (const [name, next, came, end, want] of [
    ['all', 0, [0, 1, 2], 3, [0, 0, 0]],
    ['none', 0, [], 3, [3, 0, 0]],
    ['nobody knows where it begins', undefined, [], 3, [0, 0, 0]],
    ['begins anywhere', undefined, [7, 8], 9, [0, 0, 0]],
    ['a hole', 0, [0, 3], 4, [2, 0, 0]],
    ['a hole that is filled later', 0, [0, 2, 1], 3, [0, 0, 1]],
    ['twice at once', 0, [0, 0, 1], 2, [0, 1, 0]],
    ['twice, later', 0, [0, 1, 2, 0], 3, [0, 1, 0]],
    ['late, and again', 0, [1, 0, 0], 2, [0, 1, 1]],
    ['the last ones are missing', 0, [0], 3, [2, 0, 0]],
    ['from before the beginning', undefined, [5, 4], 6, [0, 1, 0]],
  ]) {
    const s = new Sequence(next);
    came.forEach((n) => s.take(n));
    s.end(end);
    assert.deepEqual([s.missing, s.duplicate, s.late], want, name);
  }
});

test('a message comes back as it was, and nothing else does', () => {
  const m = { run: 'r1', n: 27, at: 1764166271000.25, begun: 1764166270000 };
  for (const size of [0, 128, 32768]) {
    const text = encode(m, size);
    assert.equal(text.length, Math.max(size, encode(m, 0).length));
    assert.deepEqual({ ...decode(text, 'r1'), pad: '' }, { ...m, pad: '' });
    assert.equal(decode(JSON.parse(text), 'r1').n, 27, 'parsed already');
  }
  assert.equal(decode(encode({ ...m, end: true }, 128), 'r1').end, true);
  for (const bad of ['', 'x', 'null', '7', '[]', '{}', encode(m, 200).replace('bbb', 'bcb'), encode({ ...m, run: 'r2' }, 128), encode({ ...m, n: 1.5 }, 128)]) {
    assert.equal(decode(bad, 'r1'), null, bad.slice(0, 40));
  }
});

test('durations', () => {
  for (const [text, want] of [['20s', 20], ['1h30m', 5400], ['250ms', 0.25], ['1.5m', 90]]) assert.equal(seconds(text), want, text);
  for (const text of ['', '20', 's', '20 s', 'ws://h', '5d']) assert.ok(isNaN(seconds(text)), text);
});

test('settings are read by the kind of their default', () => {
  const s = settings({ RATE: 20, FOR: '20s', MODE: 'a' }, { RATE: '7', FOR: '2m', TOKEN: 'secret', REDIS: 'redis://me:pass@h:1', MODE: '' });
  assert.deepEqual([s.RATE, s.FOR, s.MODE, s.TOKEN, s.REDIS], [7, 120, 'a', 'secret', 'redis://me:pass@h:1']);
  assert.deepEqual([s.shown.FOR, s.shown.TOKEN, s.shown.REDIS], ['2m', '(a token)', 'redis://me:…@h:1']);
  assert.throws(() => settings({ RATE: 20 }, { RATE: 'fast' }), /RATE=fast: a number is wanted, as in RATE=20/);
  assert.throws(() => settings({ FOR: '20s' }, { FOR: '20' }), /FOR=20: a duration is wanted, as in FOR=20s/);
});

test('quantities as people read them', () => {
  assert.deepEqual([0, 999, 1000, 1234567.8, 0.456, 38.8].map(number), ['0', '999', '1,000', '1,234,568', '0.46', '38.8']);
  assert.deepEqual([1, 0.99999, 0.5, 0].map(percent), ['100 %', '99.99 %', '50 %', '0 %'], 'what is not all is not rounded to it');
  assert.deepEqual([0.456, 12.34, 1234, 12345, 123456, null].map((v) => quantity('time', v)), ['0.46 ms', '12.3 ms', '1234 ms', '12.3 s', '123 s', '–']);
  assert.deepEqual([['p(95)<50', 'time'], ['count==0', 'count'], ['rate>0.95', 'share'], ['value<30', 'level']].map(([l, k]) => wanted(l, k)),
    ['p95 below 50.0 ms', 'exactly 0', 'above 95 %', 'below 30']);
});

const about = {
  script: 'x', title: 'A <title>', question: 'Is it?', settings: { OUT: 'out', shown: { URL: 'ws://h/<ws>', TOKEN: '' } }, notes: ['a note'],
  figures: { plan: {
    delivery: { kind: 'time', title: 'delivery', limits: ['p(95)<50'], over: true },
    missing: { kind: 'count', title: 'missing', limits: ['count==0'] },
    never: { kind: 'time', title: 'never', limits: ['p(95)<50'] },
    failed: { kind: 'count', title: 'failed', limits: [], by: 'reason', values: ['refused', 'other'] },
  } },
};
const time = (med) => ({ values: { min: 0, med, 'p(95)': med * 2, 'p(99)': med * 3, max: med * 4, count: 5 } });
const data = (missing) => ({
  state: { testRunDurationMs: 12000 },
  metrics: {
    ws_sessions: { values: { count: 7 } },
    sluice_delivery: { ...time(3), thresholds: { 'p(95)<50': { ok: true } } }, 'sluice_delivery{part:0}': time(2), 'sluice_delivery{part:5}': time(4),
    sluice_missing: { values: { count: missing }, thresholds: { 'count==0': { ok: missing === 0 } } },
    sluice_failed: { values: { count: 2 } }, 'sluice_failed{reason:refused}': { values: { count: 2 } }, 'sluice_failed{reason:other}': { values: { count: 0 } },
  },
});

test('a summary says what held, what did not, and what was never measured', () => {
  const s = summarize(data(3), about, new Date(0));
  assert.deepEqual(s.verdicts.map((v) => [v.name, v.ok, v.got]), [['delivery', true, 6], ['missing', false, 3], ['never', false, null]]);
  assert.equal(s.verdict, false);
  assert.equal(s.series[0].parts.length, parts);
  assert.deepEqual(s.series[0].parts.map((p, i) => (p ? i : -1)).filter((i) => i >= 0), [0, 5]);
  delete about.figures.plan.never;
  assert.equal(summarize(data(0), about, new Date(0)).verdict, true);
  assert.equal(summarize({ state: { testRunDurationMs: 1 }, metrics: {} }, about, new Date(0)).verdict, false, 'nothing was measured');
});

test('a report is whole, and needs no network', () => {
  const files = report(about)(data(3));
  assert.deepEqual(Object.keys(files), ['stdout', 'out/x.html', 'out/x.json']);
  assert.match(files.stdout, /✗ missing +3 +wanted: exactly 0/);
  assert.match(files.stdout, /refused +2/);
  assert.match(files.stdout, /1 of 2 thresholds did not hold/);
  assert.equal(JSON.parse(files['out/x.json']).verdict, false);
  const html = files['out/x.html'];
  assert.match(html, /A &#60;title&#62;/);
  assert.match(html, /<svg/);
  assert.doesNotMatch(html, /<title><|<ws>|<script|src=|https?:|url\(|@import|NaN|undefined/);
});

test('a chart of nothing, or of nothing but zeros, is one', () => {
  for (const values of [[null, null], [null, { count: 3 }, null], [{ count: 0 }, { count: 0 }]]) {
    assert.doesNotMatch(chart({ title: 't', kind: 'count', parts: values }), /NaN|Infinity|undefined/);
  }
  assert.ok(page && table);
});

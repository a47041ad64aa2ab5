import { Counter, Gauge, Rate, Trend } from 'k6/metrics';
import { metricOf, parts } from './shape.js';

// What kinds of figures there are. limits are k6's thresholds, 'p(95)<50'.
export const time = (title, ...limits) => ({ kind: 'time', title, limits });
export const count = (title, ...limits) => ({ kind: 'count', title, limits });
export const share = (title, ...limits) => ({ kind: 'share', title, limits });
export const level = (title, unit, ...limits) => ({ kind: 'level', title, unit, limits });

// over has a figure shown over the run: samples are added with partOf() as their tags.
export const over = (figure) => ({ ...figure, over: true });

// by has a figure shown for each value of a tag.
export const by = (figure, tag, ...values) => ({ ...figure, by: tag, values });

// ofK6 is a figure that k6 itself measures, by that name.
export const ofK6 = (metric, figure) => ({ ...figure, metric });

const makers = {
  time: (name) => new Trend(name, true),
  count: (name) => new Counter(name),
  share: (name) => new Rate(name),
  level: (name) => new Gauge(name),
};

// figures makes a script's metrics, named sluice_…, and the thresholds for its options.
export function figures(plan) {
  const metrics = {}, thresholds = {};
  for (const [name, figure] of Object.entries(plan)) {
    const metric = metricOf(name, figure);
    if (!figure.metric) metrics[name] = makers[figure.kind](metric);
    if (figure.limits.length > 0) thresholds[metric] = figure.limits;
    // k6 keeps apart in its summary only what has a threshold: these always hold.
    if (figure.over) for (let i = 0; i < parts; i++) thresholds[`${metric}{part:${i}}`] = [always(figure)];
    for (const value of figure.values || []) thresholds[`${metric}{${figure.by}:${value}}`] = [always(figure)];
  }
  return Object.assign(metrics, { plan, thresholds });
}

const always = (figure) => ({ time: 'max>=0', count: 'count>=0', share: 'rate>=0', level: 'value>=0' })[figure.kind];

// partOf tags a sample with its piece of the run: share is how much of it is over, 0 to 1.
export function partOf(share) {
  return { part: String(Math.min(parts - 1, Math.max(0, Math.floor(share * parts)))) };
}

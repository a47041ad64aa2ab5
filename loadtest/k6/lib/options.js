import { trendStats } from './summary.js';

// options are a script's, with what all of them have in common.
export function options(figures, scenarios) {
  return {
    scenarios,
    thresholds: figures.thresholds,
    summaryTrendStats: trendStats,
    systemTags: ['scenario', 'status', 'subproto'], // not the URL: it differs for each connection
    setupTimeout: '60s',
  };
}

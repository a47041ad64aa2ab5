// parts is into how many pieces the figures of a run are cut, to show how they change.
export const parts = 24;

// metricOf is the name that k6 knows a figure by.
export function metricOf(name, figure) {
  return figure.metric || `sluice_${name}`;
}

// Package k6 holds the tests of the k6 scripts beside it, as far as they can be tested without k6: that is not part of
// `make test`, as building it takes minutes. The scripts themselves are run by load.sh, which is `make load`.
//
// A script is its settings, its figures with their thresholds, its scenarios, and the functions that these run; read
// fanout.js first. What they share is in lib: settings and options; target (where to connect, and whether a run makes sense
// there), connection and subscriber; redis, publisher and inbox (the service's side); payload and sequence (what is missing,
// double, out of order); clock; figures, shape, summary, table, chart, page and text (the report).
package k6

// Package plot makes the pages of a load report: one HTML file with everything in it, plots as SVG, light and dark, no script and
// nothing fetched from anywhere.
//
// In go numbers in base units (bytes, µs, s, a count) and the words beside them; out comes a Page (Write, WriteFile) or one figure
// as an SVG file of its own (WriteSVG), for a README. Figures are Lines over time, Percentiles of latencies, and Bars that compare;
// a Table is for pages only. Values that are not a number are gaps. A figure says in its own words, for those who do not see it,
// what it shows.
//
// Nothing here measures. Start at Page.Write, then chart.
package plot

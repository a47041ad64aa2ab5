// Sluice-load measures a WebSocket server from the outside: what a connection costs, what a delivery costs, and whether every
// message arrived once, in order and unaltered.
//
// In come flags (main.go); out go a progress line per second on stderr, a table on stdout and, with --json and --html, files. The exit
// status is 0 when the run proved what it set out to, 1 when the server lost, repeated, reordered or altered something or
// dropped connections, 2 when the run could not be done.
//
// One file per verb (idle.go, fanout.go, stall.go, storm.go, echo.go, churn.go, resume.go); what they share is a run (run.go): the
// fleet of connections, the server's figures (cost.go, inside.go), how they went (timeline.go), the report (report.go, page.go). Sockets are internal/fleet's, payloads and their verdicts internal/proof's, /proc and
// Prometheus pages internal/meter's. It starts and stops no server. Start at runIdle, the shortest.
package main

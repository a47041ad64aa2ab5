// Package meter reads what a run costs: the server's CPU time, memory, threads and descriptors from /proc, its own figures from
// a Prometheus page, this process' CPU time, and how busy the machine was with everything else.
//
// All values are snapshots; the caller subtracts. Nothing here runs by itself. Linux only. Start at Process.Sample.
package meter

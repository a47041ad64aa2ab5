// Rolling replaces the nodes of an installation one after the other, under load, and shows what its clients saw of it.
//
// It starts a Redis, sluice nodes and HAProxies from deploy/haproxy/haproxy.cfg, all real processes on loopback; thousands of clients
// that follow durable channels in the dialect sluice.v1 and come back with the position they had, after a backoff with full
// jitter as SDKs have it; and a service that publishes all the time. Then each node in turn gets SIGTERM, drains, ends,
// and is started anew at the same address, and when the last one is back nobody must have missed anything.
//
//	go run ./loadtest/rolling                            // 10,000 clients, 3 nodes, a drain.window of 30 s
//	go run ./loadtest/rolling -join -max-age 60s         // in place of restarts: one node joins; how long until it has its share
//
// # What is judged
//
// By history.Follow, over every client's whole life: nothing missing, nothing twice, nothing out of order, nobody told to load afresh.
// By the rig: every client is back in time, which is drain.delay, drain.window and its own backoff after the signal; no connection was
// cut; every node exits with 0; and the reconnects of a drain come at an even pace.
//
// # What is not as it would be
//
// There is no TLS between clients and HAProxy: the rig takes that out of the file, and adds servers, and nothing else. As many HAProxies
// as the limit of open files asks for stand side by side, as behind a DNS name; a client keeps to one of them.
//
// Start at rig.go. crowd.go is the clients, report.go the verdicts, page.go what is drawn.
package main

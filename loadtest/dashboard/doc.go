// Dashboard draws deploy's Grafana dashboard without a Grafana: each row and panel where it stands there, from a real Prometheus that
// asks real nodes while things happen to them.
//
// It starts a Redis, two nodes and a Prometheus by deploy's files, with a second between two scrapes; a crowd of clients of every dialect
// that come back when they are sent away; services that publish, read the inbox and answer calls. Then come, one after the other, what
// scene.go lists: bursts, a storm of handshakes, clients that are refused, that send too much, that do not read; Redis is killed, one node
// drains, and one is killed. What comes out is one page.
//
//	go run ./loadtest/dashboard -out out/dashboard     // three minutes
//
// Start at rig.go. crowd.go is the clients, service.go the backend, front.go what stands in for a load balancer, page.go what is drawn.
package main

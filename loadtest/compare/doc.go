// Compare runs the same scenarios against Sluice, against other servers and against the bare yardstick, in one go and in turn, and
// writes what came out: a table, plots, and everything as JSON.
//
// In come flags (main.go) and what is installed for it below --out (install.go): each peer at an exact version. A Peer (peers.go)
// says how it is started and how sluice-load talks to it; a Scenario (scenarios.go) is one run of sluice-load against a server
// started for it alone, pinned to one core, with the generator and Redis on the other (rig.go). Rounds are interleaved, peer by
// peer, so that what else the machine does hits all alike. Of the rounds a Result (result.go) keeps every figure; table.go, plots.go
// and page.go show their medians.
//
// It judges no peer: a run that fails, and messages that are lost, are in the table as they are, Sluice's too. Start at Run.
package main

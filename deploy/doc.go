// Package deploy is what Sluice is run with: load balancers before it, the unit, image or chart that starts it, what watches it. The files
// are meant to be taken as they are; README.md says which ones.
//
// There is no Go code here but the tests, and these start the real thing from these very files: HAProxy, nginx and Caddy on free ports with
// a throw-away certificate, two nodes behind them on a Redis of their own, and WebSocket clients who come through. What differs from
// place to place is set as an operator would: in the environment where the program knows variables, and by editing the lines
// that the file's head names where it does not.
package deploy

// Package faultproxy is a TCP proxy on loopback that does to connections what
// networks do: it passes, delays, holds back, corrupts and cuts.
//
//	p, err := faultproxy.Start("127.0.0.1:6379")
//	defer p.Close()                                       // clients dial p.Addr
//	p.Set(faultproxy.Both(faultproxy.Rule{Hold: true}))   // a black hole
//	p.Set(faultproxy.Rules{Down: faultproxy.Rule{Hold: true}})   // what the server says gets lost on its way
//	p.Set(faultproxy.Rules{})                             // well again
//	p.Cut(faultproxy.Reset)                               // every connection there is
//
// Rules hold for connections that are there and for new ones. What is held back
// is kept and passed on when the rule ends, as TCP sends again what a partition
// swallowed; as long as nothing is passed nobody hears of a close either. New
// connections are accepted meanwhile, and the server is not dialed before its
// direction is free: to the client they are half open.
//
// Start reading at proxy.go; link.go is one connection.
package faultproxy

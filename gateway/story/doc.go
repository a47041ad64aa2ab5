// Package story is what a node can tell of one connection: who it is, what it has, how it ended.
//
// A [Story] is made by the connection's reactor when somebody asks, from what is there anyway; nothing is kept for it while the
// connection lives. When it has ended, its last words go into the reactor's [Endings], which hold so many of them and no more.
//
// The package knows no reactor: package session fills a Story in, package admin serves it, the verb prints it.
package story

//go:build race

package hostile

// What the tests are built with, the node is, too.
var buildFlags = append([]string{"-race"}, tagFlags...)

// memoryFactor is how much more memory the race detector makes a program take.
const memoryFactor = 10

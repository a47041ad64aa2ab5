//go:build !race

package hostile

var buildFlags = tagFlags

const memoryFactor = 1

package config

import "strings"

// origin is where a setting's value was written.
type origin struct {
	layer layer
	name  string // as the operator typed it: --ping-interval, SLUICE_PING_INTERVAL, sluice.yaml:3: ping.interval
}

// layer is one of the places settings come from; a higher one wins.
type layer int

const (
	fromDefault layer = iota
	fromFile
	fromFallback // REDIS_URL, PORT
	fromEnv
	fromFlag
)

// typed is the name under which the operator knows the setting: what he typed, or its key if he did not. What is
// missing in an item is known by the item's line.
func (c *Config) typed(key string) string {
	if from, ok := c.from[key]; ok {
		return from.name
	}
	if dot := strings.LastIndexByte(key, '.'); dot >= 0 && strings.HasSuffix(key[:dot], "]") {
		return c.typed(key[:dot]) + key[dot:]
	}
	return key
}

// source says where the value came from, for the printed configuration.
func (o origin) source() string {
	switch o.layer {
	case fromFlag:
		return "flag " + o.name
	case fromEnv, fromFallback:
		return "environment " + o.name
	case fromFile:
		return "file " + o.name
	case fromDefault:
	}
	return "default"
}

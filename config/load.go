package config

import (
	"errors"
	"fmt"
)

// loader lays one source of settings over another, lowest first, and keeps the faults of all of them.
type loader struct {
	config     Config
	unreadable map[string]bool // keys of settings, and of items, of which something could not be read
	faults     []error
}

func newLoader() *loader {
	config := Default()
	config.from = map[string]origin{}
	return &loader{config: config, unreadable: map[string]bool{}}
}

// set writes one setting, and remembers who did. A text that cannot be read is a fault even where a higher layer
// replaces it: the operator wrote something that does not mean what he thinks.
func (l *loader) set(s setting, texts []string, from origin) { l.put(&l.config, s.key, s, texts, from) }

// put is set for a setting whose full key is path, in the configuration itself or in an item of one of its lists.
func (l *loader) put(holder any, path string, s setting, texts []string, from origin) {
	if err := s.set(holder, texts); err != nil {
		l.faults = append(l.faults, fmt.Errorf("%s: %w", from.name, err))
		l.unreadable[path] = true
		return
	}
	l.config.from[path] = from
}

func (l *loader) fault(format string, args ...any) {
	l.faults = append(l.faults, fmt.Errorf(format, args...))
}

// result validates what has been laid together.
func (l *loader) result() (*Config, error) {
	if _, written := l.config.from["drain.window"]; l.config.Dev && !written {
		l.config.Drain.Window = 0
	}
	l.faults = append(l.faults, l.config.validate(l.unreadable))
	if err := errors.Join(l.faults...); err != nil {
		return nil, err
	}
	return &l.config, nil
}

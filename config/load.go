package config

import (
	"errors"
	"fmt"
)

// loader lays one source of settings over another, lowest first, and keeps the faults of all of them.
type loader struct {
	config     Config
	unreadable map[string]bool // keys of settings whose text could not be read
	faults     []error
}

func newLoader() *loader {
	config := Default()
	config.from = map[string]origin{}
	return &loader{config: config, unreadable: map[string]bool{}}
}

// set writes one setting, and remembers who did. A text that cannot be read is a fault even where a higher layer
// replaces it: the operator wrote something that does not mean what he thinks.
func (l *loader) set(s setting, texts []string, from origin) {
	if err := s.set(&l.config, texts); err != nil {
		l.faults = append(l.faults, fmt.Errorf("%s: %w", from.name, err))
		l.unreadable[s.key] = true
		return
	}
	l.config.from[s.key] = from
}

func (l *loader) fault(format string, args ...any) {
	l.faults = append(l.faults, fmt.Errorf(format, args...))
}

// result validates what has been laid together.
func (l *loader) result() (*Config, error) {
	l.faults = append(l.faults, l.config.validate(l.unreadable))
	if err := errors.Join(l.faults...); err != nil {
		return nil, err
	}
	return &l.config, nil
}

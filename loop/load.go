package loop

import "time"

// Load is what one reactor has to do.
type Load struct {
	Connections int64
	Longest     time.Duration // its longest turn of the last 15 to 30 seconds
}

// Loads is the load of each reactor, by index. Any goroutine may ask.
func (e *Engine) Loads() []Load {
	loads := make([]Load, 0, len(e.reactors))
	for _, r := range e.reactors {
		loads = append(loads, Load{r.count.connections.Load(), r.count.longest.most()})
	}
	return loads
}

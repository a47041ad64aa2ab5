package loop

import "go.uber.org/zap"

// quiet passes gnet's words on to our log: its own logger would write to a file
// from the event loop. What it says below warnings is of no use to an operator.
type quiet struct{ log *zap.Logger }

func (quiet) Debugf(string, ...any) {}
func (quiet) Infof(string, ...any)  {}

func (q quiet) Warnf(format string, args ...any) {
	q.log.Debug("event loop: "+format, zap.Any("args", args))
}

func (q quiet) Errorf(format string, args ...any) {
	q.log.Warn("event loop: "+format, zap.Any("args", args))
}

func (q quiet) Fatalf(format string, args ...any) {
	q.log.Error("event loop: "+format, zap.Any("args", args))
}

package loop

import (
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// sampled is log with at most 5 lines of the same message in a second: clients
// cause some of them, and may do so at any rate. The counters tell how often.
func sampled(log *zap.Logger) *zap.Logger {
	return log.WithOptions(zap.WrapCore(func(core zapcore.Core) zapcore.Core {
		return zapcore.NewSamplerWithOptions(core, time.Second, 5, 0)
	}))
}

// named is the connection's name as a field of a line.
func (c *Conn) named() zap.Field {
	if name := c.r.opts.Name; name != nil {
		return zap.String("conn", name(c.id))
	}
	return zap.Uint64("conn", uint64(c.id))
}

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

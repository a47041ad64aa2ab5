package main

import (
	"slices"
	"strings"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// event is a thing that the log tells of, by a short code that stays when the words of
// its line change.
type event struct {
	code    string
	level   zapcore.Level
	text    string // of the line; with a space at its end: what it begins with, and what follows is a reason or a name
	meaning string // for an operator: what it means, and what to do
}

// eventField is the log field that the code stands in.
const eventField = "event"

// otherEvent is the code of lines that are not this program's words: of net/http on the
// admin port, mostly.
const otherEvent = "other"

var (
	eventsByText   = map[string]string{} // of whole lines
	eventsByPrefix []event
)

func init() {
	for _, e := range events {
		if strings.HasSuffix(e.text, " ") {
			eventsByPrefix = append(eventsByPrefix, e)
		} else {
			eventsByText[e.text] = e.code
		}
	}
}

// eventOf is the code of a line.
func eventOf(text string) string {
	if code, ok := eventsByText[text]; ok {
		return code
	}
	for _, e := range eventsByPrefix {
		if strings.HasPrefix(text, e.text) {
			return e.code
		}
	}
	return otherEvent
}

// coding is a zapcore.Core that adds to each line the code of its event.
type coding struct{ zapcore.Core }

// With implements zapcore.Core.
func (c coding) With(fields []zapcore.Field) zapcore.Core { return coding{c.Core.With(fields)} }

// Check implements zapcore.Core.
func (c coding) Check(entry zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(entry.Level) {
		return checked.AddCore(entry, c)
	}
	return checked
}

// Write implements zapcore.Core.
func (c coding) Write(entry zapcore.Entry, fields []zapcore.Field) error {
	return c.Core.Write(entry, append(slices.Clip(fields), zap.String(eventField, eventOf(entry.Message)))) //nolint:wrapcheck // it is the line queue's, which has none
}

package main

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"sluice/loadtest/internal/history"
)

// service publishes on a durable channel, as a backend would that must not lose
// anything: a call whose outcome is not known is repeated with the same id, to
// whoever is the master then. After a while it gives up.
type service struct {
	*publisher
	log *channelLog
}

const (
	serviceGivesUp = 5 * time.Second
	serviceRetries = 30 * time.Millisecond
)

// hasty is a router of those who do not wait for long.
type hasty struct{ router }

func (h hasty) patience() time.Duration { return min(time.Second, h.router.patience()) }

// run publishes at a steady rate until quit is closed, and then the last message,
// which Redis must take before ctx ends.
func (s *service) run(ctx context.Context, quit <-chan struct{}, every time.Duration) {
	defer s.close()
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			s.send(ctx)
		case <-quit:
			for ctx.Err() == nil {
				if number, ok := s.send(ctx); ok {
					s.log.end(number)
					return
				}
			}
			return
		}
	}
}

// send publishes one message. false: Redis has not said yes.
func (s *service) send(ctx context.Context) (number int, ok bool) {
	number, payload := s.log.begin()
	for began := time.Now(); ctx.Err() == nil && time.Since(began) < serviceGivesUp; hold(ctx, serviceRetries) {
		if s.connect(ctx) != nil { // nothing was sent
			continue
		}
		s.log.called(number)
		reply, err := s.call(ctx, s.fcall(number, payload))
		if err == nil && s.log.acked(number, reply) {
			return number, true
		}
	}
	return number, false
}

func (s *service) fcall(number int, payload string) []string {
	return []string{"FCALL", "sluice_publish", "1", s.channel, payload, "size", strconv.Itoa(s.log.size), "id", fmt.Sprintf("%s.%d", s.log.channel, number)}
}

// call runs a command, at another server of a Cluster where the one that has the
// slot says that the keys have gone there already.
func (s *service) call(ctx context.Context, command []string) (any, error) {
	reply, err := s.wire.do(command...)
	if err == nil {
		return reply, nil
	}
	addr := elsewhere(err, "ASK ")
	if addr == "" {
		s.failed(err)
		return nil, err
	}
	w, err := dialWire(ctx, addr, s.patience())
	if err != nil {
		return nil, err
	}
	defer w.Close()
	if _, err := w.do("ASKING"); err != nil {
		return nil, err
	}
	return w.do(command...)
}

// begin books a message.
func (l *channelLog) begin() (number int, payload string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	sent := now()
	number = len(l.messages)
	l.messages = append(l.messages, history.Published{Sent: sent})
	return number, string(appendMessage(nil, l.channel, l.index, number, sent, 0))
}

func (l *channelLog) called(number int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.messages[number].Calls++
}

// acked books what Redis answers: [position, epoch].
func (l *channelLog) acked(number int, reply any) bool {
	answer, _ := reply.([]any) // not acked where it is something else
	if len(answer) != 2 {
		return false
	}
	position, _ := answer[0].(int64) // as above
	epoch, _ := answer[1].(string)
	if position <= 0 || epoch == "" {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	m := &l.messages[number]
	m.Acked, m.Position, m.Epoch = now(), uint64(position), epoch
	return true
}

// end books that a message is the last one of its service. All must come to the
// last of all.
func (l *channelLog) end(number int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.services--
	if l.final < 0 || l.messages[number].Position > l.messages[l.final].Position {
		l.final = number
	}
}

// last is the position that everybody must come to; 0: there will be more.
func (l *channelLog) last() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.final < 0 || l.services > 0 {
		return 0
	}
	return l.messages[l.final].Position
}

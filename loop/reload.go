package loop

// Reload has the reactors go by other limits and times of o, each from its next turn
// on; connections stay. What it takes from o is named in reloaded; all else stays as
// New was told. A longer PingInterval is not for clients that are pinged by their dialect
// (Conn.SetPing): they go on by the shortest that there was. An error is New's, and then
// nothing changes.
func (e *Engine) Reload(o Options) error {
	next := reloaded(e.opts, o.withDefaults())
	if err := next.check(); err != nil {
		return err
	}
	for _, r := range e.reactors {
		r.reloads.Store(&next)
		r.bell.ring()
	}
	return nil
}

// reloaded is old with what may change of o.
func reloaded(old, o Options) Options {
	old.Request, old.HandshakeTimeout = o.Request, o.HandshakeTimeout
	old.Decoder = o.Decoder
	old.MessageTimeout, old.MaxIncomplete = o.MessageTimeout, o.MaxIncomplete
	old.MessageRate, old.MessageBurst = o.MessageRate, o.MessageBurst
	old.ByteRate, old.ByteBurst = o.ByteRate, o.ByteBurst
	old.ControlRate, old.ControlBurst = o.ControlRate, o.ControlBurst
	old.PingInterval, old.PingTimeout, old.CloseTimeout = o.PingInterval, o.PingTimeout, o.CloseTimeout
	old.MaxQueue, old.MaxBacklog = o.MaxQueue, o.MaxBacklog
	old.MinDeflate = o.MinDeflate
	return old
}

// reload takes what the engine was told. Decoders point to the options, and go by the
// new ones, too.
func (r *Reactor) reload() {
	o := r.reloads.Swap(nil)
	if o == nil {
		return
	}
	old := r.rates
	*r.opts, r.rates = *o, newRates(o)
	r.soonest = min(r.soonest, o.PingInterval)
	for c := range r.conns.all {
		c.allowance.bound(&old, &r.rates)
	}
}

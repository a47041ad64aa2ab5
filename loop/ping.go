package loop

import "sluice/codec"

// pingFrame is an empty ping (RFC 6455 §5.5.2), shared by everyone.
var pingFrame = codec.AppendFrame(nil, codec.OpPing, nil)

// SetPing has c pinged with Options.Pings[i] in place of a ping frame, by a dialect
// whose clients answer that themselves. These clients take a silent server for dead,
// which they can not do with ping frames where those are the browser's business: so
// they are pinged at each interval, whatever they say meanwhile.
func (c *Conn) SetPing(i int) {
	c.r.owner.check()
	c.ping = uint8(i + 1)
}

func (c *Conn) pingFrame() []byte {
	if c.ping == 0 {
		return pingFrame
	}
	return c.r.opts.Pings[c.ping-1]
}

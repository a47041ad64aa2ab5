package session

import (
	"slices"
	"strings"

	"sluice/config"
	"sluice/gateway/auth"
	"sluice/pubsub"
)

// maySubscribe decides whether somebody, nil for anonymous, may ask for a channel.
// A token that allows the channel by name is as good as any rule but "nobody": who
// signs tokens decides.
func (p *Policy) maySubscribe(who *auth.Identity, channel string) bool {
	if isPersonal(channel) {
		return owns(who, channel)
	}
	access := p.Namespace(channel).Subscribe
	if access != config.AccessNobody && who != nil && who.MaySubscribe(channel) {
		return true
	}
	return allowed(access, who, channel)
}

// mayTakeUp decides whether somebody may subscribe to a channel while it is connected: it
// may ask for it, or its token gives it, and it has left the channel since.
func (p *Policy) mayTakeUp(who *auth.Identity, channel string) bool {
	return p.maySubscribe(who, channel) || who != nil && slices.Contains(who.Channels, channel)
}

// given are the channels that somebody, nil for anonymous, is subscribed to when it
// connects, without asking: those of its token, and its user's own, where that is
// wanted and can be a channel's name.
func (p *Policy) given(who *auth.Identity) []string {
	if who == nil {
		return nil
	}
	if !p.Personal {
		return who.Channels
	}
	own := "#" + who.User
	if slices.Contains(who.Channels, own) || pubsub.CheckChannel(own) != nil {
		return who.Channels
	}
	return append(slices.Clone(who.Channels), own)
}

// mayPublish decides whether somebody may send through a channel: to the inbox, or where
// that is relayed to its subscribers. What is published for a user comes from a service,
// so through a user's channel others send only by a token that says so, and the user, by
// the rule, to the inbox alone.
func (p *Policy) mayPublish(who *auth.Identity, channel string) bool {
	n := p.Namespace(channel)
	if n.Publish != config.AccessNobody && who != nil && who.MayPublish(channel) {
		return true
	}
	if isPersonal(channel) && (n.Relay || !owns(who, channel)) {
		return false
	}
	return allowed(n.Publish, who, channel)
}

// maySeePresence decides whether somebody may see who is subscribed to a channel. Where a
// user is connected from is the user's business, and that of who has a token that says so.
func (p *Policy) maySeePresence(who *auth.Identity, channel string) bool {
	n := p.Namespace(channel)
	if !n.Presence {
		return false
	}
	if n.SeePresence != config.AccessNobody && who != nil && who.MaySeePresence(channel) {
		return true
	}
	if isPersonal(channel) {
		return n.SeePresence != config.AccessNobody && owns(who, channel)
	}
	return allowed(n.SeePresence, who, channel)
}

// isPersonal says whether a channel is a user's own.
func isPersonal(channel string) bool { return strings.HasPrefix(channel, "#") }

// owns says whether a channel is somebody's own.
func owns(who *auth.Identity, channel string) bool {
	user, personal := strings.CutPrefix(channel, "#")
	return personal && who != nil && who.User == user
}

// allowed is what a namespace's rule says by itself.
func allowed(access config.Access, who *auth.Identity, channel string) bool {
	switch access {
	case config.AccessAnyone:
		return true
	case config.AccessAuthenticated:
		return who != nil
	case config.AccessUser:
		_, owner, ok := strings.Cut(channel, ":")
		return ok && who != nil && owner == who.User // all that follows the namespace: user 42 is not x:42
	case config.AccessClaim, config.AccessNobody:
		return false
	}
	return false
}

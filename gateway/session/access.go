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
	if user, ok := strings.CutPrefix(channel, "#"); ok {
		return who != nil && who.User == user
	}
	access := p.Namespace(channel).Subscribe
	if access != config.AccessNobody && who != nil && who.MaySubscribe(channel) {
		return true
	}
	return allowed(access, who, channel)
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

// mayPublish decides whether somebody may send to the inbox through a channel.
func (p *Policy) mayPublish(who *auth.Identity, channel string) bool {
	access := p.Namespace(channel).Publish
	if access != config.AccessNobody && who != nil && who.MayPublish(channel) {
		return true
	}
	return allowed(access, who, channel)
}

// maySeePresence decides whether somebody may see who is subscribed to a channel.
func (p *Policy) maySeePresence(who *auth.Identity, channel string) bool {
	n := p.Namespace(channel)
	if !n.Presence {
		return false
	}
	if n.SeePresence != config.AccessNobody && who != nil && who.MaySeePresence(channel) {
		return true
	}
	return allowed(n.SeePresence, who, channel)
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

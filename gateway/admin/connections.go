package admin

import (
	"context"
	"errors"
	"net/http"

	"sluice/gateway/story"
)

// ErrNotHere is what Options.Stories wraps for a connection that this node knows nothing of.
var ErrNotHere = errors.New("not known here")

// connections is what a node tells of them.
type connections struct {
	Connections []story.Story `json:"connections"`
}

// serveConnection tells of one connection, by its name in the inbox and in the log.
func (o Options) serveConnection(w http.ResponseWriter, r *http.Request) {
	stories, ok := o.stories(w, r, r.PathValue("conn"), "")
	if ok {
		reply(w, http.StatusOK, stories[0])
	}
}

// serveConnections tells of those of a user.
func (o Options) serveConnections(w http.ResponseWriter, r *http.Request) {
	user := r.URL.Query().Get("user")
	if user == "" {
		refuse(w, http.StatusBadRequest, codeBadRequest, "say of whom: ?user=42, or /api/connections/<conn>")
		return
	}
	if stories, ok := o.stories(w, r, "", user); ok {
		if stories == nil {
			stories = []story.Story{} // [] in JSON, not null
		}
		reply(w, http.StatusOK, connections{stories})
	}
}

func (o Options) stories(w http.ResponseWriter, r *http.Request, conn, user string) ([]story.Story, bool) {
	if o.Stories == nil {
		refuse(w, http.StatusNotImplemented, codeNotAvailable, "this node does not tell of its connections")
		return nil, false
	}
	ctx, cancel := context.WithTimeout(r.Context(), storyPatience)
	defer cancel()
	stories, err := o.Stories(ctx, conn, user)
	switch {
	case errors.Is(err, ErrNotHere):
		refuse(w, http.StatusNotFound, codeNotFound, "%v", err)
	case err != nil:
		refuse(w, http.StatusServiceUnavailable, codeInternal, "%v", err)
	}
	return stories, err == nil
}

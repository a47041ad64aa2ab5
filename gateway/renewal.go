package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"go.uber.org/zap"

	"sluice/config"
)

// rereading reads the files of TLS again whenever they have changed, until ctx ends. What
// cannot be used changes nothing, as with a reload.
func (a *App) rereading(ctx context.Context) error {
	every := a.config.TLS.Reread
	if a.certificates == nil || every == 0 {
		return nil
	}
	t := time.NewTicker(every)
	defer t.Stop()
	seen := "" // they may have changed since the start read them
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
		now := footprint(&a.now.Load().config.TLS)
		if now == seen {
			continue
		}
		known := seen != ""
		seen = now // before they are read: what changes meanwhile shows the next time
		switch err := a.reread(); {
		case err != nil:
			a.log.Error("the files of certificates have changed and cannot be used: the old ones stay in force", zap.Error(err))
		case known:
			a.log.Info("the files of certificates have changed, and have been read again", zap.Time("expires", a.certificates.Now().Expires()))
		}
	}
}

// reread has new handshakes go by what is in the files now.
func (a *App) reread() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	p, err := a.renewed(a.now.Load().config)
	if err != nil {
		return err
	}
	a.present(p)
	return nil
}

// footprint changes when the files that t names do.
func footprint(t *config.TLS) string {
	var b strings.Builder
	look := func(file string) {
		if file == "" {
			return
		}
		info, err := os.Stat(file) // where links lead: a Secret in a pod is changed by changing one
		if err != nil {
			fmt.Fprintln(&b, file, err)
			return
		}
		fmt.Fprintln(&b, file, info.Size(), info.ModTime().UnixNano())
	}
	for _, p := range t.Certificates() {
		look(p.Cert)
		look(p.Key)
	}
	look(t.TicketKeys)
	return b.String()
}

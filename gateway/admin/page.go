package admin

import (
	"embed"
	"io/fs"
	"net/http"
)

// The console is a page with its style and modules in files of their own, so that the policy
// can name this listener as their only source.
//
//go:embed console
var consoleFiles embed.FS

const pagePolicy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'" +
	"; img-src data:" + // the favicon
	"; base-uri 'none'; form-action 'none'; frame-ancestors 'none'" +
	"; require-trusted-types-for 'script'; trusted-types 'none'"

var pageFiles = http.FileServerFS(consoleFiles)

// servePage serves the console: its page at /, the rest under /console/.
func servePage(w http.ResponseWriter, r *http.Request) {
	name := r.URL.Path
	if name == "/" {
		w.Header().Set("Content-Security-Policy", pagePolicy)
		http.ServeFileFS(w, r, consoleFiles, "console/console.html")
		return
	}
	if info, err := fs.Stat(consoleFiles, name[1:]); err != nil || info.IsDir() {
		serveUnknown(w, r)
		return
	}
	pageFiles.ServeHTTP(w, r)
}

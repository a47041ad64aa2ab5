package strict

import (
	"testing"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
)

func TestCompose(t *testing.T) {
	p, err := loader.LoadWithContext(t.Context(), types.ConfigDetails{
		WorkingDir:  "../docker",
		ConfigFiles: []types.ConfigFile{{Filename: "../docker/compose.yaml"}},
	}, func(o *loader.Options) { o.SetProjectName("sluice", false) })
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"sluice-1", "sluice-2", "redis", "haproxy", "prometheus", "grafana"} {
		if _, err := p.GetService(name); err != nil {
			t.Error(err)
		}
	}
}

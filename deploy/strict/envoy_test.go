package strict

import (
	"os"
	"testing"

	bootstrap "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"                     // named in the file
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3" // as above
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/retry/host/previous_hosts/v3"               // as above
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/proxy_protocol/v3"        // as above
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/raw_buffer/v3"            // as above
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"                   // as above
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"                          // as above
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/anypb"
	"sigs.k8s.io/yaml"
)

// Envoy's own types take every field, and its own rules every value. This is most of what `envoy --mode validate` does; what it cannot see
// is whether an Envoy of some age knows all of these types.
func TestEnvoy(t *testing.T) {
	text, err := os.ReadFile("../envoy/envoy.yaml")
	if err != nil {
		t.Fatal(err)
	}
	json, err := yaml.YAMLToJSONStrict(text)
	if err != nil {
		t.Fatal(err)
	}
	var b bootstrap.Bootstrap
	if err := protojson.Unmarshal(json, &b); err != nil {
		t.Fatal(err)
	}
	messages := 0
	validate(t, b.ProtoReflect(), &messages)
	if messages < 50 {
		t.Errorf("only %d messages were looked at", messages)
	}
}

// validate applies the rules of every message, and of those in an Any.
func validate(t *testing.T, m protoreflect.Message, messages *int) {
	t.Helper()
	*messages++
	if packed, ok := m.Interface().(*anypb.Any); ok {
		inside, err := packed.UnmarshalNew()
		if err != nil {
			t.Error(err)
			return
		}
		validate(t, inside.ProtoReflect(), messages)
		return
	}
	if rules, ok := m.Interface().(interface{ ValidateAll() error }); ok {
		if err := rules.ValidateAll(); err != nil {
			t.Errorf("%s: %v", m.Descriptor().FullName(), err)
		}
	}
	m.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		switch {
		case field.IsMap():
			if field.MapValue().Kind() == protoreflect.MessageKind {
				value.Map().Range(func(_ protoreflect.MapKey, v protoreflect.Value) bool {
					validate(t, v.Message(), messages)
					return true
				})
			}
		case field.Kind() != protoreflect.MessageKind:
		case field.IsList():
			for i := range value.List().Len() {
				validate(t, value.List().Get(i).Message(), messages)
			}
		default:
			validate(t, value.Message(), messages)
		}
		return true
	})
}

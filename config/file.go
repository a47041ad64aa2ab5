package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// file lays a YAML file over what is there. How names the option that asked for it, for the fault when it cannot be
// read.
func (l *loader) file(path, how string) {
	if path == "" {
		l.fault("%s: is empty; name a file, or remove it", how)
		return
	}
	text, err := os.ReadFile(path)
	if err != nil {
		l.fault("%s: %w", how, err)
		return
	}
	l.document(path, bytes.NewReader(text))
}

// document reads the one YAML document in r; path is for messages.
func (l *loader) document(path string, r io.Reader) {
	decoder := yaml.NewDecoder(r)
	var document, second yaml.Node
	if err := decoder.Decode(&document); err != nil {
		if !errors.Is(err, io.EOF) { // an empty file sets nothing
			l.fault("%s: %w", path, err)
		}
		return
	}
	if err := decoder.Decode(&second); !errors.Is(err, io.EOF) {
		l.fault("%s: holds more than one document; keep one", path)
		return
	}
	f := fileReader{loader: l, path: path, seen: map[string]int{}}
	root := document.Content[0]
	if root.Kind == yaml.ScalarNode && root.Tag == "!!null" {
		return // nothing but comments
	}
	f.section("", root)
}

// fileReader walks one document.
type fileReader struct {
	loader *loader
	path   string
	seen   map[string]int // key to the line that set it
}

// name is what the operator sees in his editor: file, line, key.
func (f *fileReader) name(node *yaml.Node, key string) string {
	return fmt.Sprintf("%s:%d: %s", f.path, node.Line, key)
}

func (f *fileReader) fault(node *yaml.Node, key, format string, args ...any) {
	f.loader.fault("%s: %s", f.name(node, key), fmt.Sprintf(format, args...))
}

// section reads the settings below one key; the root's is empty. A key with dots reaches into sections.
func (f *fileReader) section(section string, node *yaml.Node) {
	if node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	if node.Kind != yaml.MappingNode {
		if node.Tag == "!!null" {
			return // a heading whose settings are all commented out
		}
		if section == "" {
			f.loader.fault("%s: is not a list of settings; write lines like listen: :8000", f.path)
			return
		}
		f.fault(node, section, "is a section and takes no value of its own; its settings are %s", strings.Join(keysOf(section), ", "))
		return
	}
	for i := 0; i+1 < len(node.Content); i += 2 {
		name, value := node.Content[i], node.Content[i+1]
		key := name.Value
		if section != "" {
			key = section + "." + key
		}
		f.entry(key, name, value)
	}
}

func (f *fileReader) entry(key string, name, value *yaml.Node) {
	s, ok := lookup(key)
	switch {
	case !ok && len(keysOf(key)) > 0:
		f.section(key, value)
	case !ok:
		f.unknown(name, key, nearest(key, append(sections(), keysOf("")...)))
	case f.seen[key] != 0:
		f.fault(name, key, "is already set in line %d; keep one", f.seen[key])
	default:
		f.seen[key] = name.Line
		if s.item != nil {
			f.list(s, name, value)
			return
		}
		f.setting(&f.loader.config, key, s, name, value)
	}
}

func (f *fileReader) unknown(name *yaml.Node, key, nearest string) {
	f.fault(name, key, "unknown setting; the nearest known one is %s", nearest)
}

// setting reads one value into holder: a scalar, or for a list also a sequence of them.
func (f *fileReader) setting(holder any, key string, s setting, name, value *yaml.Node) {
	if value.Kind == yaml.AliasNode {
		value = value.Alias
	}
	items := []*yaml.Node{value}
	if s.isList() && value.Kind == yaml.SequenceNode {
		items = value.Content
	}
	texts := []string{}
	for _, item := range items {
		switch {
		case item.Kind == yaml.AliasNode || item.Kind != yaml.ScalarNode:
			f.loader.unreadable[key] = true
			f.fault(name, key, "takes %s", map[bool]string{true: "a list of plain values", false: "one plain value"}[s.isList()])
			return
		case item.Tag == "!!null":
			f.loader.unreadable[key] = true
			f.fault(name, key, `has no value; write "" for an empty one, or remove the line to get the default`)
			return
		}
		texts = append(texts, item.Value)
	}
	f.loader.put(holder, key, s, texts, origin{fromFile, f.name(name, key)})
}

// keysOf returns the keys below a section, all of them for the empty one.
func keysOf(section string) []string {
	var keys []string
	for _, s := range entries() {
		if section == "" || strings.HasPrefix(s.key, section+".") {
			keys = append(keys, s.key)
		}
	}
	return keys
}

// sections returns the names that only head settings.
func sections() []string {
	var names []string
	for _, s := range entries() {
		if name, _, ok := strings.Cut(s.key, "."); ok && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

package config

import (
	"reflect"
	"strings"

	"gopkg.in/yaml.v3"
)

// list reads a list of sections: auth.keys, namespaces and their like. What is wrong with an item keeps its place in
// the list, so that the others keep their numbers in messages.
func (f *fileReader) list(s setting, name, value *yaml.Node) {
	if value.Kind == yaml.AliasNode {
		value = value.Alias
	}
	if value.Tag == "!!null" {
		return // a heading whose items are all commented out
	}
	if value.Kind != yaml.SequenceNode {
		f.fault(name, s.key, "takes a list: begin each item with - on a line of its own, as in %s", s.example)
		return
	}
	list := reflect.MakeSlice(s.kind, 0, len(value.Content))
	for i, node := range value.Content {
		item := s.newItem()
		f.item(s, itemPath(s.key, i), item, node)
		list = reflect.Append(list, reflect.ValueOf(item).Elem())
	}
	s.field(&f.loader.config).Set(list)
	f.loader.config.from[s.key] = origin{fromFile, f.name(name, s.key)}
}

// newItem returns a pointer to an item of the list of sections in which nothing is set yet.
func (s setting) newItem() any {
	item := reflect.New(s.kind.Elem())
	item.Elem().Set(defaultItem(s.kind.Elem()))
	return item.Interface()
}

// item reads one item of the list s, whose key is path.
func (f *fileReader) item(s setting, path string, item any, node *yaml.Node) {
	f.loader.config.from[path] = origin{fromFile, f.name(node, path)}
	if node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	if node.Kind != yaml.MappingNode {
		f.loader.unreadable[path] = true
		f.fault(node, path, "is a section; its settings are %s, as in %s", strings.Join(names(s.item), ", "), s.example)
		return
	}
	for i := 0; i+1 < len(node.Content); i += 2 {
		name, value := node.Content[i], node.Content[i+1]
		key := path + "." + name.Value
		leaf, ok := find(s.item, name.Value)
		switch {
		case !ok:
			f.loader.unreadable[path] = true // what seems to be missing may be what was misspelt
			f.unknown(name, key, nearest(name.Value, names(s.item)))
		case f.seen[key] != 0:
			f.fault(name, key, "is already set in line %d; keep one", f.seen[key])
		default:
			f.seen[key] = name.Line
			f.setting(item, key, leaf, name, value)
		}
	}
}

func names(all []setting) []string {
	keys := make([]string, len(all))
	for i, s := range all {
		keys[i] = s.key
	}
	return keys
}

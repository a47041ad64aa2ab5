package config

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// setting is one leaf of Config, or of an item of one of its lists, as its tags describe it: the name it has in each
// place, and how its text is read.
type setting struct {
	key     string // in the file and in messages: ping.interval; of an item's leaf: what follows the item and a dot
	flag    string // without the dashes in front: ping-interval
	env     string // SLUICE_PING_INTERVAL
	help    string
	group   string   // heading in --help and in the documentation; empty for the settings outside any section
	choices []string // nil unless only these are accepted
	bounds  string   // "low..high" inclusive, in the setting's notation; empty for none
	example string   // items of a list of sections, as one line of YAML
	kind    reflect.Type
	live    bool      // a reload puts it into effect
	index   []int     // of the field in Config, or in the item, as reflect counts
	item    []setting // of a list of sections: the settings of each; such a list has no flag and no environment name
}

const envPrefix = "SLUICE_"

// entries returns all that the file can hold, in the order of the struct: settings and lists of sections. The slice
// is shared: read only.
var entries = sync.OnceValue(func() []setting {
	return settingsOf(reflect.TypeFor[Config](), "", "", false, nil)
})

// settings returns the entries that every layer has a name for. The slice is shared: read only.
var settings = sync.OnceValue(func() []setting {
	return slices.DeleteFunc(slices.Clone(entries()), func(s setting) bool { return s.item != nil })
})

// settingsOf walks one struct; section is the dotted key of the struct itself, empty for Config, live says whether all
// of it is.
func settingsOf(structure reflect.Type, section, group string, live bool, index []int) []setting {
	var all []setting
	for i := range structure.NumField() {
		field := structure.Field(i)
		if !field.IsExported() {
			continue
		}
		tag := field.Tag
		key := tag.Get("yaml")
		if section != "" {
			key = section + "." + key
		}
		at := append(append([]int(nil), index...), i)
		if field.Type.Kind() == reflect.Struct {
			all = append(all, settingsOf(field.Type, key, tag.Get("group"), tag.Get("live") == "yes", at)...)
			continue
		}
		s := setting{key: key, help: tag.Get("help"), group: cmp.Or(tag.Get("group"), group), bounds: tag.Get("range"),
			example: tag.Get("example"), kind: field.Type, live: live || tag.Get("live") == "yes", index: at}
		s.flag = strings.NewReplacer(".", "-", "_", "-").Replace(key)
		s.env = envName(key)
		if isSections(field.Type) {
			s.item, s.flag, s.env = settingsOf(field.Type.Elem(), "", "", false, nil), "", ""
		}
		if choices := tag.Get("oneof"); choices != "" {
			s.choices = strings.Split(choices, "|")
		}
		all = append(all, s)
	}
	return all
}

func envName(key string) string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(key, ".", "_"))
}

// isSections says whether a field of that type is a list of sections, not of plain values.
func isSections(kind reflect.Type) bool {
	return kind.Kind() == reflect.Slice && kind.Elem().Kind() == reflect.Struct
}

// lookup finds the entry of a key.
func lookup(key string) (setting, bool) { return find(entries(), key) }

func find(all []setting, key string) (setting, bool) {
	for _, s := range all {
		if s.key == key {
			return s, true
		}
	}
	return setting{}, false
}

// field is the setting's place in holder, a pointer to Config or to the item; setting it changes holder.
func (s setting) field(holder any) reflect.Value {
	return reflect.ValueOf(holder).Elem().FieldByIndex(s.index)
}

// isList says whether the setting takes several values.
func (s setting) isList() bool { return s.kind.Kind() == reflect.Slice }

// items returns a pointer to each item that the list of sections has in c.
func (s setting) items(c *Config) []any {
	list := s.field(c)
	items := make([]any, list.Len())
	for i := range items {
		items[i] = list.Index(i).Addr().Interface()
	}
	return items
}

// itemPath is the key of one item in messages; its leaves follow after a dot.
func itemPath(list string, i int) string { return fmt.Sprintf("%s[%d]", list, i) }

// set reads texts into holder. A list takes them all, each split at commas; any other setting takes the last. On an
// error, which says what is wrong with the text but not whose it is, holder is unchanged.
func (s setting) set(holder any, texts []string) error {
	field := s.field(holder)
	if s.isList() {
		field.Set(reflect.ValueOf(splitList(texts)))
		return nil
	}
	value, err := parse(s.kind, texts[len(texts)-1])
	if err != nil {
		return err
	}
	field.Set(value)
	return nil
}

// splitList never returns nil, so that an empty list from anywhere equals the empty default.
func splitList(texts []string) []string {
	items := []string{}
	for _, text := range texts {
		for item := range strings.SplitSeq(text, ",") {
			if item = strings.TrimSpace(item); item != "" {
				items = append(items, item)
			}
		}
	}
	return items
}

// parse reads one value of a scalar setting's type.
func parse(kind reflect.Type, text string) (reflect.Value, error) {
	if kind.Kind() == reflect.String {
		return reflect.ValueOf(text).Convert(kind), nil
	}
	if kind.Kind() == reflect.Pointer {
		value, err := parse(kind.Elem(), text)
		if err != nil {
			return reflect.Value{}, err
		}
		pointer := reflect.New(kind.Elem())
		pointer.Elem().Set(value)
		return pointer, nil
	}
	if text == "" {
		return reflect.Value{}, fmt.Errorf("is empty; remove it to get the default")
	}
	switch kind {
	case reflect.TypeFor[time.Duration]():
		d, err := parseDuration(text)
		return reflect.ValueOf(d), err
	case reflect.TypeFor[Size]():
		size, err := ParseSize(text)
		return reflect.ValueOf(size), err
	case reflect.TypeFor[bool]():
		if text != "true" && text != "false" {
			return reflect.Value{}, fmt.Errorf("%q is neither true nor false", text)
		}
		return reflect.ValueOf(text == "true"), nil
	case reflect.TypeFor[int]():
		n, err := strconv.Atoi(text)
		if err != nil {
			return reflect.Value{}, fmt.Errorf("%q is not a whole number", text)
		}
		return reflect.ValueOf(n), nil
	}
	return reflect.Value{}, fmt.Errorf("settings of type %s cannot be read from text", kind)
}

func parseDuration(text string) (time.Duration, error) {
	if _, err := strconv.ParseFloat(text, 64); err == nil && text != "0" {
		return 0, fmt.Errorf("%q has no unit; write %ss or %sms", text, text, text)
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, fmt.Errorf("%q is not a duration; write one like 25s, 500ms or 1m30s", text)
	}
	return d, nil
}

// text is the setting's value in holder in the notation that set reads; the items of a list are joined by commas, of
// a secret there is the placeholder.
func (s setting) text(holder any) string { return strings.Join(textsOf(s.field(holder)), ",") }

// textsOf returns one text for each value of a list, and one for any other; none for a nil pointer.
func textsOf(field reflect.Value) []string {
	switch {
	case field.Kind() == reflect.Slice:
		texts := make([]string, 0, field.Len())
		for i := range field.Len() {
			texts = append(texts, textsOf(field.Index(i))...)
		}
		return texts
	case field.Kind() == reflect.Pointer && field.IsNil():
		return nil
	case field.Kind() == reflect.Pointer:
		return textsOf(field.Elem())
	}
	if value, ok := field.Interface().(time.Duration); ok {
		return []string{formatDuration(value)}
	}
	return []string{fmt.Sprint(field.Interface())}
}

// formatDuration is String without the zero tail: 1m, not 1m0s.
func formatDuration(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

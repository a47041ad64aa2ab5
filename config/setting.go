package config

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"time"
)

// setting is one leaf of Config as its tags describe it: the name it has in each place, and how its text is read.
type setting struct {
	key     string // in the file and in messages: ping.interval
	flag    string // without the dashes in front: ping-interval
	env     string // SLUICE_PING_INTERVAL
	help    string
	group   string   // heading in --help and in the documentation; empty for the settings outside any section
	choices []string // nil unless only these are accepted
	bounds  string   // "low..high" inclusive, in the setting's notation; empty for none
	index   []int    // of the field in Config, as reflect counts
}

const envPrefix = "SLUICE_"

// settings returns every setting in the order of the struct. The slice is shared: read only.
var settings = sync.OnceValue(func() []setting {
	return settingsOf(reflect.TypeFor[Config](), "", "", nil)
})

// settingsOf walks one struct; section is the dotted key of the struct itself, empty for Config.
func settingsOf(structure reflect.Type, section, group string, index []int) []setting {
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
			all = append(all, settingsOf(field.Type, key, tag.Get("group"), at)...)
			continue
		}
		s := setting{key: key, help: tag.Get("help"), group: group, bounds: tag.Get("range"), index: at}
		s.flag = strings.NewReplacer(".", "-", "_", "-").Replace(key)
		s.env = envPrefix + strings.ToUpper(strings.ReplaceAll(key, ".", "_"))
		if choices := tag.Get("oneof"); choices != "" {
			s.choices = strings.Split(choices, "|")
		}
		all = append(all, s)
	}
	return all
}

// lookup finds the setting of a key.
func lookup(key string) (setting, bool) {
	for _, s := range settings() {
		if s.key == key {
			return s, true
		}
	}
	return setting{}, false
}

// field is the setting's place in c; setting it changes c.
func (s setting) field(c *Config) reflect.Value {
	return reflect.ValueOf(c).Elem().FieldByIndex(s.index)
}

// isList says whether the setting takes several values.
func (s setting) isList() bool {
	return reflect.TypeFor[Config]().FieldByIndex(s.index).Type.Kind() == reflect.Slice
}

// set reads texts into c. A list takes them all, each split at commas; any other setting takes the last. On an
// error, which says what is wrong with the text but not whose it is, c is unchanged.
func (s setting) set(c *Config, texts []string) error {
	field := s.field(c)
	if s.isList() {
		field.Set(reflect.ValueOf(splitList(texts)))
		return nil
	}
	value, err := parse(field.Type(), texts[len(texts)-1])
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
		return reflect.ValueOf(text), nil
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

// text is the setting's value in c in the notation that set reads; the items of a list are joined by commas.
func (s setting) text(c *Config) string {
	switch value := s.field(c).Interface().(type) {
	case time.Duration:
		return formatDuration(value)
	case []string:
		return strings.Join(value, ",")
	default:
		return fmt.Sprint(value)
	}
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

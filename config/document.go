package config

import (
	"cmp"
	"fmt"
	"io"
	"reflect"
	"strings"

	"gopkg.in/yaml.v3"
)

// meaning is the help with the accepted values.
func (s setting) meaning() string {
	switch {
	case s.choices != nil:
		return s.help + " (" + s.choiceList() + ")"
	case s.bounds != "":
		return s.help + " (" + strings.Replace(s.bounds, "..", " to ", 1) + ")"
	}
	return s.help
}

// choiceList is what may be written, without the empty choice of what may be left out.
func (s setting) choiceList() string {
	return strings.TrimPrefix(strings.Join(s.choices, ", "), ", ")
}

// Document writes every setting as Markdown: one table per section, with the setting's name in the file, as a flag
// and in the environment, its default and its meaning; and one per list that the file alone can hold.
func Document(w io.Writer) error {
	p := printer{w: w}
	p.printf("# Settings of sluice\n\n%s", precedence)
	defaults := Default()
	previous := setting{group: "none yet"}
	for _, s := range entries() {
		if s.group != previous.group {
			p.printf("\n## %s\n", cmp.Or(s.group, "General"))
		}
		if s.item != nil {
			p.documentList(s)
			previous = s
			continue
		}
		if s.group != previous.group || previous.item != nil {
			p.printf("\n| file | flag | environment | default | meaning |\n|---|---|---|---|---|\n")
		}
		previous = s
		mark := ""
		if s.live {
			mark = " ↻"
		}
		p.printf("| `%s`%s | `--%s` | `%s` | %s | %s |\n", s.key, mark, s.flag, s.env, code(s.text(&defaults)), cell(s.meaning()))
	}
	return p.err
}

// documentList writes a list of sections: what it is for, an example, and the settings of an item.
func (p *printer) documentList(s setting) {
	section, name, ok := strings.Cut(s.key, ".")
	indent := "  "
	if !ok {
		section, name, indent = "", section, ""
	}
	p.printf("\n### `%s`: a list, in the file only\n\n%s.\n\n```yaml\n", s.key, s.help)
	if ok {
		p.printf("%s:\n", section)
	}
	p.printf("%s%s:\n%s  %s\n```\n\n| in each item | default | meaning |\n|---|---|---|\n", indent, name, indent, s.example)
	item := s.newItem()
	for _, leaf := range s.item {
		p.printf("| `%s` | %s | %s |\n", leaf.key, code(leaf.text(item)), cell(leaf.meaning()))
	}
}

const precedence = `A setting is taken from the first of these that has it: the flag, the environment, the YAML file named by
` + "`--config` or `SLUICE_CONFIG`" + `, the default. ` + "`REDIS_URL` and `PORT`" + `, which hosting platforms set, stand between the
environment's own ` + "`SLUICE_…`" + ` names and the file: they mean ` + "`redis` and `listen: :$PORT`" + `. A name that is not in these
tables is an error.

In the file the dots of a name are sections: ` + "`ping: {interval: 25s}`" + `. Sizes are whole bytes or end in KiB, MiB, GiB;
durations end in ms, s, m, h; lists are YAML lists in the file and comma-separated elsewhere. Lists whose items have
settings of their own stand in the file only. Whatever the file can hold, secrets are never printed or logged.

On SIGHUP a node reads all of this again. Settings with a ↻, and the lists, take effect then, for open connections, too; others
need a restart, and the log says so. If anything is wrong, nothing changes.
`

func code(text string) string {
	if text == "" {
		return "*(empty)*"
	}
	return "`" + cell(text) + "`"
}

// cell keeps a text inside its table cell.
func cell(text string) string { return strings.ReplaceAll(text, "|", `\|`) }

// YAML writes the configuration as a file that Load reads back, every setting with its meaning above it and the place
// it came from behind it. Secrets and the Redis password are replaced.
func (c *Config) YAML(w io.Writer) error {
	p := printer{w: w}
	p.printf("# The configuration in effect. Names, bounds and defaults: sluice config doc\n")
	section := ""
	for _, s := range entries() {
		indent, name := "", s.key
		if head, tail, ok := strings.Cut(s.key, "."); ok {
			if head != section {
				p.printf("\n%s:\n", head)
			}
			section, indent, name = head, "  ", tail
		} else {
			p.printf("\n")
		}
		p.comment(indent+"#", s.meaning())
		switch {
		case s.item != nil:
			p.list(c, s, indent, name)
		case s.key == "redis":
			p.printf("%s%s: %s # %s\n", indent, name, quoted(c.RedactedRedis()), c.from[s.key].source())
		default:
			p.printf("%s%s: %s # %s\n", indent, name, s.scalar(c), c.from[s.key].source())
		}
	}
	return p.err
}

// comment prints text with mark before each line.
func (p *printer) comment(mark, text string) {
	for _, line := range wrap(text, 100) {
		p.printf("%s %s\n", mark, line)
	}
}

// list prints a list of sections: in each item its first setting, and whatever else says something.
func (p *printer) list(c *Config, s setting, indent, name string) {
	p.comment(indent+"#", "In the file only. Each item has:")
	for _, leaf := range s.item {
		p.comment(indent+"#  ", leaf.key+": "+leaf.meaning())
	}
	items, empty := s.items(c), s.newItem()
	if len(items) == 0 {
		p.printf("%s%s: [] # %s\n", indent, name, c.from[s.key].source())
		return
	}
	p.printf("%s%s: # %s\n", indent, name, c.from[s.key].source())
	for _, item := range items {
		for i, leaf := range s.item {
			text := leaf.text(item)
			switch {
			case i == 0:
				p.printf("%s  - %s: %s\n", indent, leaf.key, leaf.scalar(item))
			case text != "" || leaf.text(empty) != "":
				p.printf("%s    %s: %s\n", indent, leaf.key, leaf.scalar(item))
			}
		}
	}
}

// scalar is the setting's value in holder as YAML on one line.
func (s setting) scalar(holder any) string {
	texts := textsOf(s.field(holder))
	switch {
	case s.isList():
		for i := range texts {
			texts[i] = quoted(texts[i])
		}
		return "[" + strings.Join(texts, ", ") + "]"
	case s.kind.Kind() == reflect.String:
		if isPrivate(texts[0]) { // refused by Validate, and not shown by those who print without asking it
			texts[0] = redacted
		}
		return quoted(texts[0])
	}
	return s.text(holder)
}

func quoted(text string) string {
	line, err := yaml.Marshal(&yaml.Node{Kind: yaml.ScalarNode, Style: yaml.DoubleQuotedStyle, Value: text})
	if err != nil { // only nodes that are not scalars can fail
		return fmt.Sprintf("%q", text)
	}
	return strings.TrimSpace(string(line))
}

// wrap breaks text at spaces into lines of at most width bytes, where its words allow it.
func wrap(text string, width int) []string {
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(text) {
		if line != "" && len(line)+1+len(word) > width {
			lines = append(lines, line)
			line = ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	return append(lines, line)
}

// printer remembers the first error, so that a table needs one check at its end.
type printer struct {
	w   io.Writer
	err error
}

func (p *printer) printf(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format, args...)
	}
}

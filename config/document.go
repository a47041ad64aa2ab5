package config

import (
	"fmt"
	"io"
	"strings"

	"gopkg.in/yaml.v3"
)

// meaning is the help with the accepted values.
func (s setting) meaning() string {
	switch {
	case s.choices != nil:
		return s.help + " (" + strings.Join(s.choices, ", ") + ")"
	case s.bounds != "":
		return s.help + " (" + strings.Replace(s.bounds, "..", " to ", 1) + ")"
	}
	return s.help
}

// Document writes every setting as Markdown: one table per section, with the setting's name in the file, as a flag
// and in the environment, its default and its meaning.
func Document(w io.Writer) error {
	p := printer{w: w}
	p.printf("# Settings of sluice\n\n%s", precedence)
	defaults := Default()
	for i, s := range settings() {
		if i == 0 || s.group != settings()[i-1].group {
			heading := s.group
			if heading == "" {
				heading = "General"
			}
			p.printf("\n## %s\n\n| file | flag | environment | default | meaning |\n|---|---|---|---|---|\n", heading)
		}
		p.printf("| `%s` | `--%s` | `%s` | %s | %s |\n", s.key, s.flag, s.env, code(s.text(&defaults)), cell(s.meaning()))
	}
	return p.err
}

const precedence = `A setting is taken from the first of these that has it: the flag, the environment, the YAML file named by
` + "`--config` or `SLUICE_CONFIG`" + `, the default. ` + "`REDIS_URL` and `PORT`" + `, which hosting platforms set, stand between the
environment's own ` + "`SLUICE_…`" + ` names and the file: they mean ` + "`redis` and `listen: :$PORT`" + `. A name that is not in these
tables is an error.

In the file the dots of a name are sections: ` + "`ping: {interval: 25s}`" + `. Sizes are whole bytes or end in KiB, MiB, GiB;
durations end in ms, s, m, h; lists are YAML lists in the file and comma-separated elsewhere.
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
// it came from behind it. The Redis password is replaced.
func (c *Config) YAML(w io.Writer) error {
	p := printer{w: w}
	p.printf("# The configuration in effect. Names, bounds and defaults: sluice config doc\n")
	section := ""
	for _, s := range settings() {
		indent, name := "", s.key
		if head, tail, ok := strings.Cut(s.key, "."); ok {
			if head != section {
				p.printf("\n%s:\n", head)
			}
			section, indent, name = head, "  ", tail
		} else {
			p.printf("\n")
		}
		for _, line := range wrap(s.meaning(), 100) {
			p.printf("%s# %s\n", indent, line)
		}
		p.printf("%s%s: %s # %s\n", indent, name, c.scalar(s), c.from[s.key].source())
	}
	return p.err
}

// scalar is the setting's value as YAML on one line.
func (c *Config) scalar(s setting) string {
	switch value := s.field(c).Interface().(type) {
	case string:
		if s.key == "redis" {
			value = c.RedactedRedis()
		}
		return quoted(value)
	case []string:
		items := make([]string, len(value))
		for i, item := range value {
			items[i] = quoted(item)
		}
		return "[" + strings.Join(items, ", ") + "]"
	}
	return s.text(c)
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

package config

import (
	"reflect"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// Flags is the part of a command line that configures a node. Embed it in a kong grammar as a named field tagged
// `embed:""` (an anonymous field would promote Config's methods, and kong would call Validate before anything is
// loaded), pass Options to kong.New, and call Load when the verb that was chosen needs a configuration.
//
// kong's part is the grammar and --help; it only writes down what was typed. Reading the texts is left to Load,
// because kong stops at the first fault, and lets a file win over the environment.
type Flags struct {
	File string `name:"config" placeholder:"FILE" help:"YAML file with any of these settings; see sluice config doc ($SLUICE_CONFIG)"`

	Config Config `embed:""` // the grammar only; its values stay zero, Load returns the ones that count

	fileTyped bool                // --config was given
	typed     map[string][]string // by flag name without dashes: the texts in the order they were typed
}

// Options returns what kong.New needs to know about the flags in f. A verb's tag `settings:"redis,prefix"` makes its
// --help show only those settings, by flag name.
func (f *Flags) Options() []kong.Option {
	f.typed = map[string][]string{}
	defaults := Default()
	options := []kong.Option{
		kong.ValueMapper(&f.File, kong.MapperFunc(f.decodeFile)),
		kong.ValueFormatter(describe),
		kong.Help(printHelp),
	}
	for _, s := range settings() {
		recorder := recorder{setting: s, placeholder: s.text(&defaults), typed: f.typed}
		options = append(options, kong.ValueMapper(s.field(&f.Config).Addr().Interface(), recorder))
	}
	return options
}

func (f *Flags) decodeFile(ctx *kong.DecodeContext, target reflect.Value) error {
	f.fileTyped = true
	var path string
	if err := ctx.Scan.PopValueInto("file", &path); err != nil {
		return err
	}
	target.SetString(path)
	return nil
}

// Load lays the defaults, the file, the environment (pairs as os.Environ returns them) and the flags that kong has
// parsed over each other. It returns every fault of all four at once, or a valid configuration.
func (f *Flags) Load(pairs []string) (*Config, error) {
	l := newLoader()
	variables := environ(pairs)
	if path, ok := variables[fileEnv]; f.fileTyped {
		l.file(f.File, "--config "+f.File)
	} else if ok {
		l.file(path, fileEnv+"="+path)
	}
	l.environment(variables)
	for _, s := range settings() {
		if texts := f.typed[s.flag]; len(texts) > 0 {
			l.set(s, texts, origin{fromFlag, "--" + s.flag})
		}
	}
	return l.result()
}

// Load reads a configuration from a command line without verbs, args without the program's name, and an environment
// as os.Environ returns it.
func Load(args, environ []string) (*Config, error) {
	var flags struct {
		Settings Flags `embed:""`
	}
	parser, err := kong.New(&flags, flags.Settings.Options()...)
	if err != nil {
		return nil, err
	}
	if _, err := parser.Parse(args); err != nil {
		return nil, err
	}
	return flags.Settings.Load(environ)
}

// recorder is the kong mapper of one setting: it writes the text down and leaves the field alone.
type recorder struct {
	setting     setting
	placeholder string
	typed       map[string][]string
}

// Decode implements kong.Mapper.
func (r recorder) Decode(ctx *kong.DecodeContext, target reflect.Value) error {
	text := "true"
	if target.Kind() != reflect.Bool || ctx.Scan.Peek().Type == kong.FlagValueToken {
		if err := ctx.Scan.PopValueInto("value", &text); err != nil {
			return err
		}
	}
	r.typed[r.setting.flag] = append(r.typed[r.setting.flag], text)
	return nil
}

// PlaceHolder implements kong.PlaceHolderProvider: --help shows the default where the value goes.
func (r recorder) PlaceHolder(*kong.Flag) string {
	if r.placeholder == "" {
		return strings.ToUpper(r.setting.flag[strings.LastIndex(r.setting.flag, "-")+1:])
	}
	return r.placeholder
}

// describe writes a flag's help: meaning, bounds, environment name.
func describe(value *kong.Value) string {
	recorder, ok := value.Mapper.(recorder)
	if !ok {
		return kong.DefaultHelpValueFormatter(value)
	}
	return recorder.setting.meaning() + " ($" + recorder.setting.env + ")"
}

// printHelp hides the settings that the chosen verb does not name in its settings tag, if it has one.
func printHelp(options kong.HelpOptions, ctx *kong.Context) error {
	if verb := ctx.Selected(); verb != nil && verb.Tag != nil && verb.Tag.Has("settings") {
		shown := strings.Split(verb.Tag.Get("settings"), ",")
		for _, flag := range ctx.Model.Flags {
			if recorder, ok := flag.Mapper.(recorder); ok {
				flag.Hidden = !slices.Contains(shown, recorder.setting.flag)
			}
		}
	}
	return kong.DefaultHelpPrinter(options, ctx)
}

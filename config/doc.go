// Package config is the one typed configuration of a Sluice node.
//
// In come four layers, each over the one before: defaults, a YAML file, the environment, flags. Out comes one valid
// Config, or one error that names every fault in all layers by what the operator typed, down to the line of the file.
// Names that mean nothing are faults too, and are answered with the nearest one that does.
//
//	Default             the only place with default numbers
//	Config              the settings; their struct tags are names, help and bounds, for all layers and all printouts
//	Flags               what a kong grammar embeds: --config and one flag per setting
//	Flags.Load, Load    the layers laid together and validated
//	Config.Validate     the same judgement for a Config built by hand
//	Config.Warnings     allowed, but worth a line in the log
//	Config.Namespace    what holds for one channel, with nothing left out
//	Auth.StaticKeys     the keys of tokens with what is left out filled in; KeySets for those that are fetched
//	Config.YAML         the effective configuration with the origin of each value, secrets hidden
//	Document            every setting as Markdown tables
//
// What stands once (a number, a text, a list of texts) is a setting, and has a name in the file, as a flag and in the
// environment. What comes in several copies with parts of their own (keys, key sets, namespaces) is a list of sections,
// and stands in the file only; its items are read, judged and printed by the same tags.
//
// Only the program calls it, once at start; codec, loop and pubsub take their own small options. The package reads
// the one file it is told to read and nothing else: no global environment, no network, no goroutine. Of the key files
// that the settings name it only looks whether they are there.
//
// A setting is added by one field with its tags in config.go and its default below it; a rule that a tag cannot say
// goes to validate.go, or to the file of its section: auth.go and keys.go, proxy.go, namespace.go. Start at config.go,
// then setting.go for how tags become names, then load.go.
package config

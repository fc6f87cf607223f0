package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/pflag"
	"github.com/spf13/viper"
)

// settle gives every flag that the command line left alone its value from the
// environment or, for a command with --config, from the file; what neither has keeps its
// default. The flag's own parser reads all three, so a value means and is refused the same
// wherever it comes from.
func settle(flags *pflag.FlagSet) error {
	file, err := readFile(flags)
	if err != nil {
		return err
	}
	var errs []error
	flags.VisitAll(func(f *pflag.Flag) {
		if !f.Changed && f.Name != "help" && f.Name != flagConfig && !overruled(flags, f.Name) {
			errs = append(errs, settleOne(f, file))
		}
	})
	return errors.Join(errs...)
}

// overruled tells whether the command line gives the API key in the other of its two ways: a
// flag goes before the environment, also before a variable of another name.
func overruled(flags *pflag.FlagSet, name string) bool {
	switch name {
	case flagAPIKey:
		return flags.Changed(flagAPIKeyFile)
	case flagAPIKeyFile:
		return flags.Changed(flagAPIKey)
	}
	return false
}

const flagConfig = "config"

func settleOne(f *pflag.Flag, file *configFile) error {
	env := envName(f.Name)
	if s := os.Getenv(env); s != "" {
		return setFlag(f, s, env)
	}
	if v := file.get(f.Name); v != nil {
		return setFlag(f, v, file.path+": "+f.Name)
	}
	return nil
}

// envName is the environment variable of a flag. One that is empty counts as unset.
func envName(flag string) string {
	return "MEMD_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// setFlag parses a value of the environment or the file. from names its place in errors.
func setFlag(f *pflag.Flag, value any, from string) error {
	if list, ok := value.([]any); ok {
		slice, ok := f.Value.(pflag.SliceValue)
		if !ok {
			return fmt.Errorf("%s: one value is wanted, not a list", from)
		}
		texts := make([]string, len(list))
		for i, v := range list {
			if !scalar(v) {
				return fmt.Errorf("%s: item %d is not a plain value", from, i+1)
			}
			texts[i] = fmt.Sprint(v)
		}
		return slice.Replace(texts)
	}
	if !scalar(value) {
		return fmt.Errorf("%s: not a plain value", from)
	}
	if err := f.Value.Set(fmt.Sprint(value)); err != nil {
		return fmt.Errorf("%s: %q: %w", from, fmt.Sprint(value), err)
	}
	return nil
}

func scalar(v any) bool {
	switch v.(type) {
	case string, bool, int, int64, uint64, float64:
		return true
	}
	return false
}

// configFile is the file of --config; nil is none.
type configFile struct {
	path   string
	values *viper.Viper
}

func (c *configFile) get(name string) any {
	if c == nil {
		return nil
	}
	return c.values.Get(name)
}

// readFile reads the file that --config or MEMD_CONFIG names, if the command has that
// flag, and refuses a key that no flag has: a typing mistake would otherwise silently be a
// default.
func readFile(flags *pflag.FlagSet) (*configFile, error) {
	f := flags.Lookup(flagConfig)
	if f == nil {
		return nil, nil
	}
	path := f.Value.String()
	if !f.Changed {
		path = os.Getenv(envName(flagConfig))
	}
	if path == "" {
		return nil, nil
	}
	switch strings.ToLower(filepath.Ext(path)) {
	case ".yaml", ".yml", ".toml":
	default:
		return nil, fmt.Errorf("--config %s: want a file that ends in .yaml, .yml or .toml", path)
	}
	// A delimiter that no key has: a dot in a key is a mistake, not a level.
	v := viper.NewWithOptions(viper.KeyDelimiter("\x00"))
	v.SetConfigFile(path)
	if err := v.ReadInConfig(); err != nil {
		return nil, fmt.Errorf("--config %s: %w", path, err)
	}
	for _, key := range slices.Sorted(slices.Values(v.AllKeys())) {
		key, _, _ := strings.Cut(key, "\x00")
		if key == flagConfig || key == "help" || flags.Lookup(key) == nil {
			return nil, fmt.Errorf("%s: unknown key %q%s", path, key, meant(flags, key))
		}
	}
	return &configFile{path, v}, nil
}

// meant suggests the flag that a key was probably meant for.
func meant(flags *pflag.FlagSet, key string) string {
	name := strings.NewReplacer("_", "-", ".", "-", " ", "-").Replace(key)
	if f := flags.Lookup(name); f != nil && name != key {
		return fmt.Sprintf(" (did you mean %q?)", name)
	}
	return ""
}

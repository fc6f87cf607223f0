package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/pflag"
	"github.com/spf13/viper"
)

var update = flag.Bool("update", false, "write deploy/memd.example.yaml anew")

// exampleConfig is every flag of serve as a line of a configuration file.
func exampleConfig(flags *pflag.FlagSet) []byte {
	var b bytes.Buffer
	b.WriteString("# Configuration of `memd serve`, read with --config. Every key is a flag of that command and can also be\n" +
		"# set as MEMD_<FLAG>; a flag goes before the environment, the environment before this file. What is\n" +
		"# commented out is the default. A key that no flag has is an error.\n")
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Name == "help" || f.Name == flagConfig {
			return
		}
		fmt.Fprintf(&b, "\n# %s\n#%s: %s\n", strings.ReplaceAll(f.Usage, "\n", "\n# "), f.Name, exampleValue(f))
	})
	return b.Bytes()
}

func exampleValue(f *pflag.Flag) string {
	switch f.Name { // those that differ from machine to machine
	case "name":
		return "HOSTNAME"
	case "data-dir":
		return "~/.local/share/memd"
	}
	switch f.Value.Type() {
	case "stringSlice", "stringArray":
		return "[]"
	case "string":
		if f.DefValue == "" {
			return `""`
		}
	}
	return f.DefValue
}

// TestExampleConfig: the committed example names every flag with its default, and can be
// read as it is and with all of it uncommented.
func TestExampleConfig(t *testing.T) {
	flags := newServe().Flags()
	path := filepath.Join("..", "..", "deploy", "memd.example.yaml")
	want := exampleConfig(flags)
	if *update {
		if err := os.WriteFile(path, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is not what the flags say: go test ./cmd/memd -run TestExampleConfig -update", path)
	}
	var all strings.Builder
	for line := range strings.Lines(string(want)) {
		if strings.HasPrefix(line, "#") && !strings.HasPrefix(line, "# ") {
			line = line[1:]
		}
		all.WriteString(line)
	}
	v := viper.NewWithOptions(viper.KeyDelimiter("\x00"))
	v.SetConfigType("yaml")
	if err := v.ReadConfig(strings.NewReader(all.String())); err != nil {
		t.Fatalf("%v\n%s", err, all.String())
	}
	for _, key := range v.AllKeys() {
		if flags.Lookup(key) == nil {
			t.Errorf("the example has %q, which no flag is", key)
		}
	}
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Name != "help" && f.Name != flagConfig && !v.InConfig(f.Name) {
			t.Errorf("the example lacks %s", f.Name)
		}
	})
}

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

// settled parses args as `memd serve` would, with a file if it has text.
func settled(t *testing.T, fileName, file string, args ...string) (*serveConfig, *pflag.FlagSet, error) {
	t.Helper()
	c := new(serveConfig)
	flags := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	c.flags(flags)
	flags.Bool("help", false, "")
	if file != "" {
		path := filepath.Join(t.TempDir(), fileName)
		if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(args, "--config", path)
	}
	if err := flags.Parse(args); err != nil {
		t.Fatal(err)
	}
	err := settle(flags)
	return c, flags, err
}

// TestPrecedence goes through every flag that there is: flag over environment over file
// over default.
func TestPrecedence(t *testing.T) {
	samples := map[string][3]string{ // in the file, the environment, the flag
		"string": {"filed", "environed", "flagged"}, "int": {"3", "4", "5"}, "float64": {"3.5", "4.5", "5.5"}, "duration": {"3s", "4m", "5h"},
		"bool": {"true", "false", "true"}, "stringSlice": {"f:1,f:2", "e:1,e:2", "g:1,g:2"},
	}
	shown := func(kind, s string) string { // as the flag prints what it was given
		switch kind {
		case "duration":
			return map[string]string{"3s": "3s", "4m": "4m0s", "5h": "5h0m0s"}[s]
		case "stringSlice":
			return "[" + s + "]"
		}
		return s
	}
	_, all, err := settled(t, "", "")
	if err != nil {
		t.Fatal(err)
	}
	all.VisitAll(func(f *pflag.Flag) {
		if f.Name == flagConfig || f.Name == "help" {
			return
		}
		kind := f.Value.Type()
		sample, ok := samples[kind]
		if !ok {
			t.Fatalf("--%s has the new type %s", f.Name, kind)
		}
		if f.Name == "recall" { // its default is true
			sample = [3]string{"false", "true", "false"}
		}
		for _, fileName := range []string{"memd.yaml", "memd.toml"} {
			inFile := fmt.Sprintf("%s: %q\n", f.Name, sample[0])
			if fileName == "memd.toml" {
				inFile = fmt.Sprintf("%s = %q\n", f.Name, sample[0])
			}
			check := func(place, want, file string, args ...string) {
				t.Helper()
				_, flags, err := settled(t, fileName, file, args...)
				if err != nil {
					t.Errorf("--%s from %s: %v", f.Name, place, err)
					return
				}
				if got := flags.Lookup(f.Name).Value.String(); got != want {
					t.Errorf("--%s from %s is %s, want %s", f.Name, place, got, want)
				}
			}
			t.Run(f.Name+" in "+fileName, func(t *testing.T) {
				check("default", f.DefValue, "")
				check("file", shown(kind, sample[0]), inFile)
				t.Setenv(envName(f.Name), "")
				check("file, the environment being empty", shown(kind, sample[0]), inFile)
				t.Setenv(envName(f.Name), sample[1])
				check("environment", shown(kind, sample[1]), "")
				check("environment over file", shown(kind, sample[1]), inFile)
				check("flag over environment over file", shown(kind, sample[2]), inFile, "--"+f.Name+"="+sample[2])
			})
		}
	})
}

func TestEnvironmentNames(t *testing.T) {
	if got := envName("http-addr"); got != "MEMD_HTTP_ADDR" {
		t.Error(got)
	}
}

func TestLists(t *testing.T) {
	want := []string{"a:1", "b:2"}
	for name, c := range map[string]struct {
		file, env string
		args      []string
	}{
		"file, list":             {file: "join: [a:1, \"b:2\"]\n"},
		"file, one text":         {file: "join: a:1,b:2\n"},
		"environment":            {env: "a:1,b:2"},
		"environment, spaces":    {env: " a:1, b:2 ,"},
		"flag, commas":           {args: []string{"--join", "a:1,b:2"}},
		"flag, repeated":         {args: []string{"--join", "a:1", "--join=b:2"}},
		"flag, repeated, commas": {args: []string{"--join", "a:1,", "--join= b:2,,"}},
		"flag alone counts":      {args: []string{"--join", "a:1,b:2"}, env: "x:1", file: "join: [y:1]\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("MEMD_JOIN", c.env)
			got, _, err := settled(t, "memd.yaml", c.file, c.args...)
			if err != nil {
				t.Fatal(err)
			}
			if err := got.check(); err != nil || !slices.Equal(got.join, want) {
				t.Errorf("%q, %v", got.join, err)
			}
		})
	}
}

// TestTypedFiles: values that YAML and TOML give a type of their own.
func TestTypedFiles(t *testing.T) {
	for name, file := range map[string]string{
		"memd.yaml": "name: 17\nbootstrap-expect: 3\ninsecure: true\nquorum-timeout: 1500ms\ncatchup-interval: 0\nHTTP-Addr: 127.0.0.1:1\njoin:\n  - a:1\n",
		"memd.yml":  "{name: '17', bootstrap-expect: '3', insecure: 'true', quorum-timeout: 1.5s, catchup-interval: 0s, http-addr: '127.0.0.1:1', join: a:1}",
		"memd.toml": "name = 17\nbootstrap-expect = 3\ninsecure = true\nquorum-timeout = \"1.5s\"\ncatchup-interval = 0\nhttp-addr = \"127.0.0.1:1\"\njoin = [\"a:1\"]\n",
	} {
		c, _, err := settled(t, name, file)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if c.name != "17" || c.bootstrapExpect != 3 || !c.insecure || c.quorumTimeout.Milliseconds() != 1500 || c.catchupInterval != 0 ||
			c.httpAddr != "127.0.0.1:1" || !slices.Equal(c.join, []string{"a:1"}) {
			t.Errorf("%s: %+v", name, c)
		}
	}
}

func TestRefused(t *testing.T) {
	for _, c := range []struct{ file, env, says string }{
		{file: "nam: x\n", says: `unknown key "nam"`},
		{file: "name: x\nhttp_addr: y\n", says: `unknown key "http_addr" (did you mean "http-addr"?)`},
		{file: "http:\n  addr: x\n", says: `unknown key "http"`},
		{file: "http.addr: x\n", says: `unknown key "http.addr" (did you mean "http-addr"?)`},
		{file: "nonsense:\n", says: `unknown key "nonsense"`},
		{file: "config: x\n", says: `unknown key "config"`},
		{file: "help: true\n", says: `unknown key "help"`},
		{file: "name: x\nname: y\n", says: "name"},
		{file: "name: [a, b]\n", says: "name: one value is wanted, not a list"},
		{file: "name: {a: b}\n", says: "name: not a plain value"},
		{file: "join: [{a: b}]\n", says: "join: item 1"},
		{file: "quorum-timeout: 2\n", says: "quorum-timeout"},
		{file: "quorum-timeout: soon\n", says: "quorum-timeout"},
		{file: "bootstrap-expect: 2.5\n", says: "bootstrap-expect"},
		{file: "bootstrap-expect: true\n", says: "bootstrap-expect"},
		{file: "insecure: maybe\n", says: "insecure"},
		{file: "{", says: "memd.yaml"},
		{env: "MEMD_QUORUM_TIMEOUT=2", says: "MEMD_QUORUM_TIMEOUT"},
		{env: "MEMD_INSECURE=perhaps", says: "MEMD_INSECURE"},
		{env: "MEMD_QUORUM_WRITES=2.0", says: "MEMD_QUORUM_WRITES"},
	} {
		t.Run(c.file+c.env, func(t *testing.T) {
			if k, v, ok := strings.Cut(c.env, "="); ok {
				t.Setenv(k, v)
			}
			_, _, err := settled(t, "memd.yaml", c.file)
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestConfigFromEnvironment(t *testing.T) {
	path := filepath.Join(t.TempDir(), "memd.toml")
	if err := os.WriteFile(path, []byte("name = \"from-file\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("MEMD_CONFIG", path)
	if c, _, err := settled(t, "", ""); err != nil || c.name != "from-file" {
		t.Errorf("%+v, %v", c, err)
	}
	if c, _, err := settled(t, "other.yaml", "name: other\n"); err != nil || c.name != "other" {
		t.Errorf("the flag does not go before: %+v, %v", c, err)
	}
}

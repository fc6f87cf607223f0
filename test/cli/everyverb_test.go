package cli

import (
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// local are commands that say nothing to a node of what they are given, with why.
var local = map[string]string{
	"ca init": "files", "ca issue": "files", "ca retire": "files", "keys add": "a file", "keys list": "a file", "keys revoke": "a file", "keyring generate": "a random key",
	"serve": "is a node", "dev": "starts nodes", "mcp": "TestHostile and TestEveryWord of test/mcp", "verify": "a stopped store", "compact": "a stopped store",
	"restore": "a file", "completion bash": "text", "completion fish": "text", "completion powershell": "text", "completion zsh": "text", "help": "text", "version": "text",
	"import": "what it reads: TestHostile", "backup": "takes a file's name alone", "health": "asks", "status": "asks", "doctor": "asks", "stats": "asks", "gc": "asks", "capabilities": "asks",
	"members": "asks", "keyring list": "asks", "agents": "asks", "archive stats": "asks", "archive purge": "takes a number alone",
	"keyring": "asks", "namespaces": "asks", "archive": "asks", "keyring rotate": "makes its own key", "session": "TestHostile",
}

// aside are flags whose value goes to nobody: how the command itself works, or whom it asks.
var aside = []string{"server", "api-key", "api-key-file", "tls-ca", "tls-cert", "tls-key", "timeout", "patience", "config", "file"}

// TestEveryVerbIsTested reads from the help which verbs and texts there are: each has its
// place among those that TestHostile walks.
func TestEveryVerbIsTested(t *testing.T) {
	help := func(args ...string) string {
		out, err := exec.Command(filepath.Join(bin, "memd"), append(args, "--help")...).CombinedOutput()
		if err != nil {
			t.Fatalf("%q: %v %s", args, err, out)
		}
		return string(out)
	}
	command := regexp.MustCompile(`(?m)^  ([a-z]+) +\S`)
	flag := regexp.MustCompile(`(?m)^ +(?:-[a-z], |    )--([a-z-]+) (?:string|strings|stringArray|time) `)
	tested := func(verb []string, words ...string) bool {
		return slices.ContainsFunc(hostileVerbs, func(v []string) bool {
			return len(v) >= len(verb) && slices.Equal(v[:len(verb)], verb) &&
				!slices.ContainsFunc(words, func(w string) bool { return !slices.Contains(v, w) })
		})
	}
	verbs, flags, met := 0, 0, map[string]bool{}
	var walk func(verb []string)
	walk = func(verb []string) {
		text := help(verb...)
		_, list, some := strings.Cut(text, "Available Commands:\n")
		if some {
			list, _, _ = strings.Cut(list, "\n\n")
			for _, m := range command.FindAllStringSubmatch(list, -1) {
				walk(append(slices.Clone(verb), m[1]))
			}
		}
		name := strings.Join(verb, " ")
		met[name] = true
		if len(verb) == 0 || local[name] != "" || some && !tested(verb) {
			return
		}
		verbs++
		if !tested(verb) {
			t.Errorf("memd %s is not among hostileVerbs", name)
		}
		for _, m := range flag.FindAllStringSubmatch(text, -1) {
			if slices.Contains(aside, m[1]) {
				continue
			}
			flags++
			if !tested(verb, "--"+m[1]) && !shared(hostileVerbs, m[1]) {
				t.Errorf("memd %s --%s is not among hostileVerbs", name, m[1])
			}
		}
	}
	walk(nil)
	for name := range local {
		if !met[name] && name != "help" {
			t.Errorf("there is no memd %s", name)
		}
	}
	if verbs < 20 || flags < 40 {
		t.Errorf("only %d verbs and %d flags were found in the help", verbs, flags)
	}
}

// shared tells that a flag which many verbs have, and which is read in one place, is walked
// with one of them.
func shared(verbs [][]string, flag string) bool {
	return slices.Contains([]string{"agent-id", "after", "if-match", "idempotency-key"}, flag) &&
		slices.ContainsFunc(verbs, func(v []string) bool { return slices.Contains(v, "--"+flag) })
}

// Package memd_test holds the checks that belong to no package: the shape of the
// whole house.
package memd_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/memd/memd"

// arrows is the picture of the house: which rooms a room may import. A room is the
// first folder of a package's path; its own sub-packages are free to it. An edge may
// only point down this list, so there is no cycle and a door never reaches around the
// node into the store. Rooms that do not exist yet are held to it once they do.
var arrows = []struct {
	room string
	may  []string
}{
	{"cmd", []string{"node", "client", "mcpserver", "trust", "auth"}},
	{"node", []string{"httpapi", "mcpserver", "client", "replication", "catchup", "recall", "embed", "storage", "cluster", "wire", "trust", "auth", "memory", "clock", "internal"}},
	{"httpapi", []string{"wire", "auth", "memory", "clock", "internal"}},
	{"mcpserver", []string{"auth", "memory", "internal"}},
	{"client", []string{"memory", "internal"}},
	{"replication", []string{"wire", "memory", "clock", "internal"}},
	{"catchup", []string{"wire", "memory", "clock", "internal"}},
	{"recall", []string{"embed", "memory", "internal"}},
	{"embed", []string{"internal"}},
	{"storage", []string{"memory", "clock", "internal"}},
	{"cluster", []string{"internal"}},
	{"wire", []string{"memory", "clock", "internal"}},
	{"trust", []string{"memory", "internal"}},
	{"auth", []string{"memory", "internal"}},
	{"memory", []string{"clock", "internal"}},
	{"clock", nil},
	{"internal", nil},
}

// free rooms exist to look at all others, and nobody imports them.
var free = []string{"test"}

// owners says which rooms may import a library: one owner each, so that it can be
// replaced in one place. Packages of the test folder are named one by one.
var owners = map[string][]string{
	"go.etcd.io/bbolt":                       {"storage"},
	"github.com/hashicorp/memberlist":        {"cluster", "test/clustertest"},
	"github.com/gorilla/mux":                 {"httpapi"},
	"github.com/blevesearch":                 {"recall"},
	"github.com/RoaringBitmap":               {"recall"},
	"github.com/modelcontextprotocol/go-sdk": {"mcpserver"},
	"github.com/spf13/cobra":                 {"cmd"},
	"github.com/coreos/go-systemd":           {"cmd"},
	"github.com/spf13/pflag":                 {"cmd"},
	"github.com/spf13/viper":                 {"cmd"},
	"github.com/go-json-experiment/json":     {"memory"},
	"golang.org/x/time":                      {"httpapi"},
}

// pure rooms hold values: they touch neither disk nor network nor processes. Package
// net itself is not banned, because it also knows what an address looks like.
var (
	pure   = []string{"clock", "memory"}
	impure = []string{"os", "os/exec", "os/signal", "net/http", "syscall"}
)

type goPackage struct {
	ImportPath string
	Imports    []string
}

func TestImports(t *testing.T) {
	packages, err := list()
	if err != nil {
		t.Fatal(err)
	}
	if len(packages) == 0 {
		t.Fatal("go list found no package")
	}
	for _, p := range packages {
		for _, problem := range check(p) {
			t.Errorf("%s %s", p.ImportPath, problem)
		}
	}
}

func list() ([]goPackage, error) {
	// -e: another package that does not compile is not this test's finding.
	out, err := exec.Command("go", "list", "-e", "-json=ImportPath,Imports", "./...").Output()
	if err != nil {
		if exit, ok := errors.AsType[*exec.ExitError](err); ok {
			return nil, fmt.Errorf("go list: %w: %s", err, exit.Stderr)
		}
		return nil, fmt.Errorf("go list: %w", err)
	}
	var packages []goPackage
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p goPackage
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return packages, nil
		} else if err != nil {
			return nil, fmt.Errorf("go list: %w", err)
		}
		packages = append(packages, p)
	}
}

// check returns what is wrong with the imports of p. Test files are not looked at:
// a test may reach for whatever it compares with.
func check(p goPackage) (problems []string) {
	path, ours := within(p.ImportPath, module)
	if !ours || path == "" {
		return nil // the root holds tests only
	}
	room, _, _ := strings.Cut(path, "/")
	allowed, known := mayImport(room)
	if !known && !slices.Contains(free, room) {
		return []string{"is in a room without a place in the picture: add it to arrows in imports_test.go"}
	}
	for _, imp := range p.Imports {
		if target, ours := within(imp, module); ours {
			targetRoom, _, _ := strings.Cut(target, "/")
			if known && targetRoom != room && !slices.Contains(allowed, targetRoom) {
				problems = append(problems, "imports "+imp+": the arrows do not point there")
			}
			continue
		}
		if lib, who := owner(imp); lib != "" && !slices.ContainsFunc(who, func(w string) bool { _, in := within(path, w); return in }) {
			problems = append(problems, fmt.Sprintf("imports %s, which belongs to %v", imp, who))
		}
		if slices.Contains(pure, room) && slices.Contains(impure, imp) {
			problems = append(problems, "imports "+imp+" into a room of pure values")
		}
	}
	return problems
}

func mayImport(room string) ([]string, bool) {
	for _, a := range arrows {
		if a.room == room {
			return a.may, true
		}
	}
	return nil, false
}

// owner returns the library of owners that imp belongs to, if any, and its owners.
func owner(imp string) (lib string, who []string) {
	for lib, who := range owners {
		if _, in := within(imp, lib); in {
			return lib, who
		}
	}
	return "", nil
}

// within returns path relative to root, if it is root or below it.
func within(path, root string) (string, bool) {
	rest, ok := strings.CutPrefix(path, root)
	if !ok || rest != "" && rest[0] != '/' {
		return "", false
	}
	return strings.TrimPrefix(rest, "/"), true
}

// TestArrowsPointDown guards the picture itself.
func TestArrowsPointDown(t *testing.T) {
	for i, a := range arrows {
		for _, target := range a.may {
			if !slices.ContainsFunc(arrows[i+1:], func(b struct {
				room string
				may  []string
			}) bool {
				return b.room == target
			}) {
				t.Errorf("the arrow from %s to %s does not point down", a.room, target)
			}
		}
	}
}

func TestCheckFindsWhatItShould(t *testing.T) {
	for _, c := range []struct {
		path, imp string
		wrong     bool
	}{
		{"storage", module + "/clock", false},
		{"storage", module + "/storage/storagetest", false},
		{"storage/storagetest", module + "/storage", false},
		{"storage", module + "/wire", true},
		{"replication", module + "/catchup", true},
		{"httpapi", module + "/node", true},
		{"cmd/memd", module + "/storage", true},
		{"cmd/memd", module + "/node", false},
		{"clock", module + "/internal/mutant", true},
		{"node", module + "/test/sim", true},
		{"test/sim", module + "/storage", false},
		{"storage", "go.etcd.io/bbolt", false},
		{"storage", "go.etcd.io/bbolt/errors", false},
		{"node", "go.etcd.io/bbolt", true},
		{"test/sim", "go.etcd.io/bbolt", true},
		{"test/clustertest/memnet", "github.com/hashicorp/memberlist", false},
		{"node", "github.com/hashicorp/memberlist", true},
		{"wire", "github.com/go-json-experiment/json/jsontext", true},
		{"memory", "net/http", true},
		{"memory", "net/url", false},
		{"clock", "os", true},
		{"storage", "os", false},
		{"util", "fmt", true},
	} {
		problems := check(goPackage{module + "/" + c.path, []string{c.imp}})
		if (len(problems) > 0) != c.wrong {
			t.Errorf("%s importing %s: %q", c.path, c.imp, problems)
		}
	}
}

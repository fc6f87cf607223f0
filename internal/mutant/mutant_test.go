package mutant

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

const importPath = "github.com/memd/memd/internal/mutant"

func TestEveryMutantHasItsName(t *testing.T) {
	if end != 1<<len(names) {
		t.Fatalf("%d names for constants up to %b", len(names), uint64(end))
	}
	// The order of names is held against the source: a name in the wrong place would
	// blame the wrong rule.
	file, err := parser.ParseFile(token.NewFileSet(), "mutant.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var declared []string
	for _, decl := range file.Decls {
		if g, ok := decl.(*ast.GenDecl); ok && g.Tok == token.CONST {
			for _, spec := range g.Specs {
				declared = append(declared, spec.(*ast.ValueSpec).Names[0].Name)
			}
		}
	}
	if len(declared) != len(names)+1 {
		t.Fatalf("%d constants, %d names", len(declared), len(names))
	}
	for i, m := range All() {
		if m.String() != declared[i] {
			t.Errorf("mutant %d is declared as %s and prints as %s", i, declared[i], m)
		}
	}
}

func TestSet(t *testing.T) {
	s := TimeWatermark | OverCapDrops
	if !s.Has(TimeWatermark) || !s.Has(s) || s.Has(HoleCovered) || s.Has(s|HoleCovered) || s.Has(0) || Set(0).Has(0) {
		t.Error("Has is wrong")
	}
	if got := s.String(); got != "TimeWatermark+OverCapDrops" {
		t.Errorf("String = %s", got)
	}
	if Set(0).String() != "none" || Set(1<<63).String() != "unknown" {
		t.Error("String of odd sets")
	}
}

// TestOnlyTestsSetMutants reads every Go file of the repository that is not test
// code: a constant may appear there only as the argument of Has.
func TestOnlyTestsSetMutants(t *testing.T) {
	root := filepath.Join("..", "..")
	files := 0
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		if d.IsDir() {
			if rel == "test" || rel != "." && strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(rel, ".go") || strings.HasSuffix(rel, "_test.go") || filepath.Dir(rel) == filepath.Join("internal", "mutant") {
			return nil
		}
		files++
		src, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return nil //nolint:nilerr // the compiler says it better
		}
		for _, misuse := range misuses(src) {
			t.Errorf("%s sets mutant.%s; only tests may", filepath.ToSlash(rel), misuse)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if files == 0 {
		t.Fatal("looked at no file: the walk starts in the wrong place")
	}
}

// misuses returns the names of this package that src uses in another way than as the
// type Set or inside the argument of a call of Has.
func misuses(src *ast.File) []string {
	name := ""
	for _, imp := range src.Imports {
		if path, _ := strconv.Unquote(imp.Path.Value); path == importPath {
			name = "mutant"
			if imp.Name != nil {
				name = imp.Name.Name
			}
		}
	}
	switch name {
	case "", "_":
		return nil
	case ".":
		return []string{"* by a dot import"}
	}
	allowed := map[*ast.SelectorExpr]bool{}
	var bad []string
	ast.Inspect(src, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CallExpr:
			f, ok := n.Fun.(*ast.SelectorExpr)
			if !ok || len(n.Args) != 1 {
				break
			}
			switch arg, isName := n.Args[0].(*ast.SelectorExpr); {
			case f.Sel.Name == "Has" && isName:
				allowed[arg] = true
			case f.Sel.Name == "Set" && isIdent(f.X, name):
				bad = append(bad, "Set by conversion")
			}
		case *ast.SelectorExpr:
			if isIdent(n.X, name) && n.Sel.Name != "Set" && !allowed[n] {
				bad = append(bad, n.Sel.Name)
			}
		}
		return true
	})
	return bad
}

func isIdent(e ast.Expr, name string) bool {
	id, ok := e.(*ast.Ident)
	return ok && id.Name == name
}

func TestMisuses(t *testing.T) {
	for body, want := range map[string]string{
		`import "github.com/memd/memd/internal/mutant"; type c struct{ m mutant.Set }; func f(x c) bool { return x.m.Has(mutant.NoAbsorb) }`:  "",
		`import "github.com/memd/memd/internal/mutant"; var s = mutant.NoAbsorb`:                                                              "NoAbsorb",
		`import "github.com/memd/memd/internal/mutant"; func f(s mutant.Set) bool { s |= mutant.NoAbsorb; return s.Has(mutant.HoleCovered) }`: "NoAbsorb",
		`import m "github.com/memd/memd/internal/mutant"; var all = m.All()`:                                                                  "All",
		`import "github.com/memd/memd/internal/mutant"; var s = mutant.Set(3)`:                                                                "Set by conversion",
		`import . "github.com/memd/memd/internal/mutant"`:                                                                                     "* by a dot import",
		`import "example.org/mutant"; var s = mutant.NoAbsorb`:                                                                                "",
	} {
		src, err := parser.ParseFile(token.NewFileSet(), "x.go", "package x; "+body, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(misuses(src), " "); got != want {
			t.Errorf("%s\ngot %q, want %q", body, got, want)
		}
	}
}

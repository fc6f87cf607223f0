package node

import (
	"go/ast"
	"go/parser"
	gotoken "go/token"
	"os"
	"slices"
	"strings"
	"testing"
)

// TestVerbsAreGuarded: a verb reaches the store through view and submit only, which put
// its principal's guard on. What is in the list below does not act for a caller.
func TestVerbsAreGuarded(t *testing.T) {
	own := map[string]string{
		"view": "puts the guard on", "submit": "puts the guard on", "UpdatedSince": "hands the guard over",
		"loadMembers": "the registry", "writeMember": "the registry",
		"facts":   "counts of the whole store, for an operator",
		"Changes": "feeds the index, which is searched through view", "Continues": "looks at where changes lie", "Cluster": "counts of the whole store",
	}
	files, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, f := range files {
		if !strings.HasSuffix(f.Name(), ".go") || strings.HasSuffix(f.Name(), "_test.go") {
			continue
		}
		fset := gotoken.NewFileSet()
		tree, err := parser.ParseFile(fset, f.Name(), nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range tree.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			ast.Inspect(fn, func(n ast.Node) bool {
				sel, ok := n.(*ast.SelectorExpr)
				if !ok || !slices.Contains([]string{"View", "Submit", "Commit", "ChangedSince"}, sel.Sel.Name) {
					return true
				}
				if inner, ok := sel.X.(*ast.SelectorExpr); !ok || inner.Sel.Name != "store" {
					return true
				}
				seen++
				if own[fn.Name.Name] == "" {
					t.Errorf("%s: %s opens the store past its caller's principal: use n.view or n.submit", fset.Position(sel.Pos()), fn.Name.Name)
				}
				return true
			})
		}
	}
	if seen < 5 {
		t.Errorf("only %d ways into the store were found: the test is blind", seen)
	}
}

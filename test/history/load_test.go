package history

import (
	"os"
	"testing"
)

func load(t *testing.T, path string) []Op {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	ops, err := Load(f)
	if err != nil {
		t.Fatal(err)
	}
	return ops
}

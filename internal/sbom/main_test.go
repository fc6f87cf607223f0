package main

import (
	"bytes"
	"debug/buildinfo"
	"encoding/json"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
)

// The test binary is a Go binary, too.
func TestOfABinary(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var one, two bytes.Buffer
	if err := write(&one, self, "1.2.3", "2026-11-28T00:00:00Z"); err != nil {
		t.Fatal(err)
	}
	if err := write(&two, self, "1.2.3", "2026-11-28T00:00:00Z"); err != nil || one.String() != two.String() {
		t.Error("two documents of one binary differ: ", err)
	}
	var doc document
	if err := json.Unmarshal(one.Bytes(), &doc); err != nil {
		t.Fatal(err)
	}
	if doc.Format != "CycloneDX" || len(doc.Components) == 0 || doc.Components[0].Name != "std" || !strings.HasSuffix(runtime.Version(), doc.Components[0].Version) {
		t.Errorf("%+v", doc)
	}
	if doc.Metadata.Timestamp != "2026-11-28T00:00:00Z" || doc.Metadata.Component.Version != "1.2.3" || len(doc.Metadata.Component.Hashes) != 1 || len(doc.Metadata.Component.Hashes[0].Content) != 64 {
		t.Errorf("%+v", doc.Metadata)
	}
	if err := write(&one, "main.go", "", ""); err == nil {
		t.Error("a text file has no modules")
	}
}

func TestDescribe(t *testing.T) {
	info := &buildinfo.BuildInfo{
		GoVersion: "go1.26.1", Main: debug.Module{Path: "example.org/app"},
		Deps: []*debug.Module{
			{Path: "go.etcd.io/bbolt", Version: "v1.5.0", Sum: "h1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="},
			{Path: "old.org/x", Version: "v1.0.0", Replace: &debug.Module{Path: "new.org/x", Version: "v2.0.0+incompatible"}},
		},
		Settings: []debug.BuildSetting{{Key: "GOOS", Value: "linux"}, {Key: "-ldflags", Value: "secret"}},
	}
	got, err := json.Marshal(describe(info, "memd", "ff"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`{"name":"go:GOOS","value":"linux"}`, `"purl":"pkg:golang/std@1.26.1"`,
		`"purl":"pkg:golang/go.etcd.io/bbolt@v1.5.0","hashes":[{"alg":"SHA-256","content":"` + strings.Repeat("0", 64) + `"}]`,
		`"purl":"pkg:golang/new.org/x@v2.0.0%2Bincompatible"`,
	} {
		if !strings.Contains(string(got), want) {
			t.Errorf("no %s in %s", want, got)
		}
	}
	if strings.Contains(string(got), "old.org") || strings.Contains(string(got), "secret") {
		t.Errorf("%s", got)
	}
}

// Command sbom prints what a Go binary was built from as a CycloneDX 1.5 document: the
// modules that the linker put into it, with their versions and checksums, and the toolchain.
// It reads nothing but the binary, and prints the same for the same binary.
//
//	go run ./internal/sbom FILE VERSION DATE
package main

import (
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"os"
	"path"
	"runtime/debug"
	"strings"
)

func main() {
	if len(os.Args) != 4 {
		fmt.Fprintln(os.Stderr, "usage: sbom FILE VERSION DATE")
		os.Exit(2)
	}
	if err := write(os.Stdout, os.Args[1], os.Args[2], os.Args[3]); err != nil {
		fmt.Fprintln(os.Stderr, "sbom:", err)
		os.Exit(1)
	}
}

type document struct {
	Format     string      `json:"bomFormat"`
	Spec       string      `json:"specVersion"`
	Version    int         `json:"version"`
	Metadata   metadata    `json:"metadata"`
	Components []component `json:"components"`
}

type metadata struct {
	Timestamp string    `json:"timestamp,omitempty"` // of the commit: the same for the same binary
	Component component `json:"component"`
}

type component struct {
	Ref        string     `json:"bom-ref"`
	Type       string     `json:"type"`
	Name       string     `json:"name"`
	Version    string     `json:"version,omitempty"`
	PURL       string     `json:"purl,omitempty"`
	Hashes     []hash     `json:"hashes,omitempty"`
	Properties []property `json:"properties,omitempty"`
}

type hash struct {
	Alg     string `json:"alg"`
	Content string `json:"content"`
}

type property struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// write prints the document of the binary in file.
func write(w io.Writer, file, version, date string) error {
	info, err := buildinfo.ReadFile(file)
	if err != nil {
		return err
	}
	f, err := os.Open(file) // #nosec G703 -- the maker of a release names the file
	if err != nil {
		return err
	}
	defer f.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return err
	}
	doc := describe(info, path.Base(file), hex.EncodeToString(sum.Sum(nil)))
	doc.Metadata.Component.Version, doc.Metadata.Timestamp = version, date
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(doc)
}

func describe(info *buildinfo.BuildInfo, name, sha string) document {
	program := component{Ref: "program", Type: "application", Name: name, Hashes: []hash{{"SHA-256", sha}}}
	doc := document{Format: "CycloneDX", Spec: "1.5", Version: 1}
	for _, s := range info.Settings {
		switch s.Key {
		case "GOOS", "GOARCH", "CGO_ENABLED":
			program.Properties = append(program.Properties, property{"go:" + s.Key, s.Value})
		}
	}
	program.PURL = purl(info.Main.Path, "")
	doc.Metadata.Component = program
	toolchain := strings.TrimPrefix(info.GoVersion, "go")
	doc.Components = append(doc.Components, component{Ref: "std", Type: "library", Name: "std", Version: toolchain, PURL: purl("std", toolchain)})
	for _, m := range info.Deps {
		if m.Replace != nil {
			m = m.Replace
		}
		doc.Components = append(doc.Components, module(m))
	}
	return doc
}

func module(m *debug.Module) component {
	c := component{Ref: m.Path + "@" + m.Version, Type: "library", Name: m.Path, Version: m.Version, PURL: purl(m.Path, m.Version)}
	// go.sum's h1 is a SHA-256 over the hashes of the module's files.
	if raw, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(m.Sum, "h1:")); err == nil && len(raw) == sha256.Size {
		c.Hashes = []hash{{"SHA-256", hex.EncodeToString(raw)}}
	}
	return c
}

// purl is the package URL of a module.
func purl(module, version string) string {
	parts := strings.Split(module, "/")
	for i, p := range parts {
		parts[i] = url.PathEscape(p)
	}
	s := "pkg:golang/" + strings.Join(parts, "/")
	if version != "" {
		s += "@" + url.QueryEscape(version)
	}
	return s
}

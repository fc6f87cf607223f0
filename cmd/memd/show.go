package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"unicode"

	"github.com/memd/memd/client"
)

// fields prints names and values, one a line; a value that is empty is left out.
func fields(w io.Writer, rows [][2]string) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, r := range rows {
		if r[1] != "" {
			fmt.Fprintf(t, "%s\t%s\n", r[0], oneLine(r[1]))
		}
	}
	return t.Flush()
}

// oneLine keeps stored text from breaking a table, or from showing another one: it may have
// line ends and tabs, no other control character, and marks that turn the line around.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n', r == '\t', r == '\u2028', r == '\u2029':
			return ' '
		case unicode.Is(unicode.Bidi_Control, r):
			return unicode.ReplacementChar
		}
		return r
	}, s)
}

// clipped is the beginning of a content for a table.
func clipped(s string) string {
	const width = 60
	r := []rune(oneLine(s))
	if len(r) <= width {
		return string(r)
	}
	return string(r[:width-1]) + "…"
}

// author is who wrote a memory, as its metadata says.
func author(m *client.Memory) string {
	var meta struct {
		AgentID string `json:"agent_id"`
	}
	_ = json.Unmarshal(m.Metadata, &meta) // what is none names nobody
	return orDash(meta.AgentID)
}

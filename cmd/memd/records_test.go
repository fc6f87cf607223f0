package main

import (
	"errors"
	"io"
	"strings"
	"testing"
)

// all reads the records to their end; those of other lists than memories are marked.
func all(text string) (out []string, err error) {
	r := newRecords(oneByte{strings.NewReader(text)})
	for {
		record, list, err := r.next()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return out, err
		}
		s := string(record)
		if list != "memories" {
			s = list + " " + s
		}
		out = append(out, s)
	}
}

// oneByte gives what it has byte by byte, as a slow pipe does.
type oneByte struct{ r io.Reader }

func (o oneByte) Read(b []byte) (int, error) { return o.r.Read(b[:min(1, len(b))]) }

func TestRecords(t *testing.T) {
	for _, c := range []struct {
		name, text, want, err string
	}{
		{"nothing", "", "", ""},
		{"lines", "{\"id\":\"a\"}\n\n  {\"id\":\"b\"}\r\n{\"id\":\"c\"}", `{"id":"a"}|{"id":"b"}|{"id":"c"}`, ""},
		{"a link", `{"source_id":"a","target_id":"b","relation":"related_to"}`, `links {"source_id":"a","target_id":"b","relation":"related_to"}`, ""},
		{"an agent and a standard", `{"agent_id":"a","last_seen_at":"x"}` + "\n" + `{"namespace":"a","standard_id":"b"}`, `agents {"agent_id":"a","last_seen_at":"x"}|standards {"namespace":"a","standard_id":"b"}`, ""},
		{"a memory with their members", `{"id":"a","standard_id":"b","last_seen_at":"x","source_id":"c","target_id":"d"}`, `{"id":"a","standard_id":"b","last_seen_at":"x","source_id":"c","target_id":"d"}`, ""},
		{"a document of all", `{"memories":[],"links":[],"archived":[{"id":"c"}],"agents":[{"agent_id":"a"}],"standards":[{"namespace":"a"}]}`, `{"id":"c"}|agents {"agent_id":"a"}|standards {"namespace":"a"}`, ""},
		{"a memory that speaks of one", `{"id":"a","content":"\"source_id\" and \"target_id\""}`, `{"id":"a","content":"\"source_id\" and \"target_id\""}`, ""},
		{"a document", `{"memories":[{"id":"a"},{"id":"b"}],"links":[{"source_id":"a"}],"count":2,"exported_at":"x"}`, `{"id":"a"}|{"id":"b"}|links {"source_id":"a"}`, ""},
		{"a document written wide", "{\n  \"memories\": [\n    {\"id\": \"a\"}\n  ],\n  \"links\": []\n}\n", `{"id": "a"}`, ""},
		{"an empty document", `{"memories":[],"links":[]}`, "", ""},
		{"a document cut short", `{"memories":[{"id":"a"},{"id"`, `{"id":"a"}`, "unexpected EOF"},
		{"a document cut between records", `{"memories":[{"id":"a"}`, `{"id":"a"}`, "unexpected EOF"},
		{"a line cut short", "{\"id\":\"a\"}\n{\"id\":", `{"id":"a"}`, "not a JSON object"},
		{"a line that is no object", `[1]`, "", "not a JSON object"},
		{"a line that is too long", `{"id":"` + strings.Repeat("a", maxRecord) + `"}`, "", "has more than"},
		{"bytes", "\x00\xff\xfe", "", "not a JSON object"},
	} {
		got, err := all(c.text)
		if strings.Join(got, "|") != c.want || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s: %.200q, %v", c.name, got, err)
		}
	}
}

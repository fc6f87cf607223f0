package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"

	"github.com/memd/memd/client"
)

// records reads JSON lines, or the document of an export, one record after the other:
// whatever the size of the input, one of them is in memory.
type records struct {
	in   *bufio.Reader
	doc  *json.Decoder // of a document; nil = lines
	list string        // of the document, that is read; "" = between
	err  error         // sticky
}

// maxRecord bounds a line: a node takes less in one request.
const maxRecord = 2 << 20

func newRecords(in io.Reader) *records { return &records{in: bufio.NewReaderSize(in, 256<<10)} }

// documentStart is how an export of the original service and of GET /api/v1/export begins.
var documentStart = regexp.MustCompile(`^\s*\{\s*"(memories|links|archived|agents|standards)"\s*:\s*\[`)

// next returns io.EOF at the end. list is the list of an import that the record belongs
// to: what was put aside goes among the memories.
func (r *records) next() (record client.Raw, list string, err error) {
	if r.err != nil {
		return nil, "", r.err
	}
	if r.doc == nil && r.list == "" {
		r.list = "lines"
		if head, _ := r.in.Peek(256); documentStart.Match(head) {
			r.list, r.doc = "", json.NewDecoder(r.in)
			_, r.err = r.doc.Token()
		}
	}
	switch {
	case r.err != nil:
	case r.doc != nil:
		record, list, r.err = r.fromDocument()
	default:
		record, list, r.err = r.fromLines()
	}
	return record, list, r.err
}

func (r *records) fromLines() (client.Raw, string, error) {
	for {
		line, err := r.line()
		if err != nil {
			return nil, "", err
		}
		if len(line) == 0 {
			continue
		}
		if !json.Valid(line) || line[0] != '{' {
			return nil, "", errors.New("is not a JSON object")
		}
		return line, listOf(line), nil
	}
}

// line is the next line without white space around it.
func (r *records) line() ([]byte, error) {
	var line []byte
	for {
		part, err := r.in.ReadSlice('\n')
		if len(line)+len(part) > maxRecord {
			return nil, fmt.Errorf("has more than %d bytes", maxRecord)
		}
		line = append(line, part...)
		switch {
		case err == nil, errors.Is(err, io.EOF) && len(line) > 0:
			return bytes.TrimSpace(line), nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, err
		}
	}
}

func (r *records) fromDocument() (client.Raw, string, error) {
	for {
		if r.list != "" && r.doc.More() {
			var record json.RawMessage
			err := r.doc.Decode(&record)
			if err == nil && len(record) > maxRecord {
				err = fmt.Errorf("has more than %d bytes", maxRecord)
			}
			list := r.list
			if list == "archived" {
				list = "memories"
			}
			return client.Raw(record), list, whole(err)
		}
		t, err := r.doc.Token()
		if err != nil {
			return nil, "", whole(err)
		}
		switch t {
		case json.Delim(']'):
			r.list = ""
		case json.Delim('}'):
			return nil, "", io.EOF
		case "memories", "links", "archived", "agents", "standards":
			r.list = t.(string)
			if t, err := r.doc.Token(); err != nil || t != json.Delim('[') {
				return nil, "", errors.New("is not the document of an export")
			}
		default:
			var other json.RawMessage
			if err := r.doc.Decode(&other); err != nil {
				return nil, "", whole(err)
			}
		}
	}
}

// whole makes an end in the middle an error: io.EOF is the end of the records.
func whole(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// listOf tells the records of an export from one another by the members that only one kind
// has. A memory alone has an id.
func listOf(line []byte) string {
	if !smallRecord.Match(line) { // most lines
		return "memories"
	}
	var r struct {
		ID       *json.RawMessage `json:"id"`
		Source   *json.RawMessage `json:"source_id"`
		Target   *json.RawMessage `json:"target_id"`
		Seen     *json.RawMessage `json:"last_seen_at"`
		Standard *json.RawMessage `json:"standard_id"`
	}
	switch {
	case json.Unmarshal(line, &r) != nil || r.ID != nil:
	case r.Source != nil && r.Target != nil:
		return "links"
	case r.Seen != nil:
		return "agents"
	case r.Standard != nil:
		return "standards"
	}
	return "memories"
}

var smallRecord = regexp.MustCompile(`"(source_id|last_seen_at|standard_id)"`)

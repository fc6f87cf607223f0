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
	list string        // where the document is read: "memories", "links", "archived"; "" = between
	err  error         // sticky
}

// maxRecord bounds a line: a node takes less in one request.
const maxRecord = 2 << 20

func newRecords(in io.Reader) *records { return &records{in: bufio.NewReaderSize(in, 256<<10)} }

// documentStart is how an export of the original service and of GET /api/v1/export begins.
var documentStart = regexp.MustCompile(`^\s*\{\s*"(memories|links|archived)"\s*:\s*\[`)

// next returns io.EOF at the end. link tells a link from a memory, which may be one that
// was put aside.
func (r *records) next() (record client.Raw, link bool, err error) {
	if r.err != nil {
		return nil, false, r.err
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
		record, link, r.err = r.fromDocument()
	default:
		record, link, r.err = r.fromLines()
	}
	return record, link, r.err
}

func (r *records) fromLines() (client.Raw, bool, error) {
	for {
		line, err := r.line()
		if err != nil {
			return nil, false, err
		}
		if len(line) == 0 {
			continue
		}
		if !json.Valid(line) || line[0] != '{' {
			return nil, false, errors.New("is not a JSON object")
		}
		return line, isLink(line), nil
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

func (r *records) fromDocument() (client.Raw, bool, error) {
	for {
		if r.list != "" && r.doc.More() {
			var record json.RawMessage
			err := r.doc.Decode(&record)
			if err == nil && len(record) > maxRecord {
				err = fmt.Errorf("has more than %d bytes", maxRecord)
			}
			return client.Raw(record), r.list == "links", whole(err)
		}
		t, err := r.doc.Token()
		if err != nil {
			return nil, false, whole(err)
		}
		switch t {
		case json.Delim(']'):
			r.list = ""
		case json.Delim('}'):
			return nil, false, io.EOF
		case "memories", "links", "archived":
			r.list = t.(string)
			if t, err := r.doc.Token(); err != nil || t != json.Delim('[') {
				return nil, false, errors.New("is not the document of an export")
			}
		default:
			var other json.RawMessage
			if err := r.doc.Decode(&other); err != nil {
				return nil, false, whole(err)
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

// isLink tells a link from a memory by the members that only one of them has.
func isLink(line []byte) bool {
	if !bytes.Contains(line, []byte(`"source_id"`)) { // most lines
		return false
	}
	var ends struct {
		Source *json.RawMessage `json:"source_id"`
		Target *json.RawMessage `json:"target_id"`
	}
	return json.Unmarshal(line, &ends) == nil && ends.Source != nil && ends.Target != nil
}

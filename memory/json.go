package memory

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Raw is one JSON value in canonical form: no white space, object keys sorted, numbers as they were written.
type Raw []byte

// MarshalJSON makes a Raw part of a larger document as it is.
func (r Raw) MarshalJSON() ([]byte, error) {
	if len(r) == 0 {
		return []byte("null"), nil
	}
	return r, nil
}

// UnmarshalJSON keeps the value.
func (r *Raw) UnmarshalJSON(b []byte) error {
	*r = append((*r)[:0], b...)
	return nil
}

// ParseJSON decodes one JSON value into v as strictly as a memory is decoded: exact key case, no duplicate keys, valid UTF-8, nothing
// after the value. Unknown keys are ignored. Problems are FieldErrors that do not repeat the input.
func ParseJSON(data []byte, v any) error {
	if len(bytes.TrimSpace(data)) == 0 {
		return fieldErrorf("body", "is empty")
	}
	if err := json.Unmarshal(data, v); err != nil {
		return jsonError(err)
	}
	if jsontext.Value(data).Kind() != '{' {
		return nil
	}
	return caseVariants(data)
}

// caseVariants refuses an object in which two keys differ in case only: one of them would be lost without a word.
func caseVariants(data []byte) error {
	seen := make(map[string]struct{})
	return eachMember(data, "body", func(name string, _ []byte) error {
		low := strings.ToLower(name)
		if _, ok := seen[low]; ok {
			return errCaseVariants
		}
		seen[low] = struct{}{}
		return nil
	})
}

// AppendJSON encodes v without HTML escaping; maps come out sorted.
func AppendJSON(dst []byte, v any) ([]byte, error) {
	b, err := json.Marshal(v, json.Deterministic(true))
	if err != nil {
		return dst, err
	}
	return append(dst, b...), nil
}

// jsonError turns what the decoder says into a sentence for a client.
func jsonError(err error) error {
	var syntax *jsontext.SyntacticError
	var semantic *json.SemanticError
	switch {
	case errors.As(err, &semantic):
		field := strings.ReplaceAll(strings.TrimPrefix(string(semantic.JSONPointer), "/"), "/", ".")
		if field == "" {
			field = "body"
		}
		return fieldErrorf(field, "has the wrong type or is out of range")
	case errors.Is(err, jsontext.ErrDuplicateName):
		return fieldErrorf("body", "has a duplicate key")
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return fieldErrorf("body", "is empty or truncated JSON")
	case errors.As(err, &syntax):
		return fieldErrorf("body", "is not valid JSON near byte %d", syntax.ByteOffset)
	default:
		return fmt.Errorf("%w: body is not valid JSON", ErrInvalid)
	}
}

// walker is a pooled decoder: making one costs more than reading a small document. In the pool it still refers to the last input,
// which is bounded by the doors and gone after two collections; letting go of it at once would cost a tenth of the reading.
type walker struct {
	dec jsontext.Decoder
	buf bytes.Buffer
}

func (w *walker) open(data []byte) {
	w.buf = *bytes.NewBuffer(data)
	w.dec.Reset(&w.buf) // reads a bytes.Buffer in place, without a copy and without changing it
}

var walkers = sync.Pool{New: func() any { return new(walker) }}

// eachMember calls fn for every member of the one JSON object in data. The name is unquoted; value aliases data. Duplicate names,
// invalid UTF-8, lone surrogates and anything after the object are errors. what names the object in errors.
func eachMember(data []byte, what string, fn func(name string, value []byte) error) error {
	w := walkers.Get().(*walker)
	defer walkers.Put(w)
	w.open(data)
	return w.walk(data, what, fn)
}

// eachMemberOnce is eachMember for the body of a request: two keys that differ in case only are an error, since one of them would be
// lost without a word.
func eachMemberOnce(data []byte, fn func(name string, value []byte) error) error {
	if err := caseVariants(data); err != nil {
		return err
	}
	return eachMember(data, "body", fn)
}

// eachElement is eachMember for an array.
func eachElement(data []byte, fn func(item []byte) error) error {
	w := walkers.Get().(*walker)
	defer walkers.Put(w)
	w.open(data)
	if _, err := w.dec.ReadToken(); err != nil {
		return jsonError(err)
	}
	for w.dec.PeekKind() != ']' {
		item, err := w.dec.ReadValue()
		if err != nil {
			return jsonError(err)
		}
		end := int(w.dec.InputOffset())
		if err := fn(data[end-len(item) : end : end]); err != nil {
			return err
		}
	}
	if _, err := w.dec.ReadToken(); err != nil {
		return jsonError(err)
	}
	return w.end("body")
}

func (w *walker) walk(data []byte, what string, fn func(name string, value []byte) error) error {
	switch w.dec.PeekKind() {
	case '{':
	case jsontext.KindInvalid:
		_, err := w.dec.ReadToken()
		return jsonError(err)
	default:
		// Tell bad JSON from good JSON of another shape.
		if _, err := w.dec.ReadValue(); err != nil {
			return jsonError(err)
		}
		return fieldErrorf(what, "must be a JSON object")
	}
	if _, err := w.dec.ReadToken(); err != nil {
		return jsonError(err)
	}
	for w.dec.PeekKind() != '}' {
		raw, err := w.dec.ReadValue()
		if err != nil {
			return jsonError(err)
		}
		name, ok := knownName(raw)
		if !ok {
			if name, err = unquote(raw); err != nil {
				return jsonError(err)
			}
		}
		value, err := w.dec.ReadValue()
		if err != nil {
			return jsonError(err)
		}
		end := int(w.dec.InputOffset())
		if err := fn(name, data[end-len(value):end:end]); err != nil {
			return err
		}
	}
	if _, err := w.dec.ReadToken(); err != nil {
		return jsonError(err)
	}
	return w.end(what)
}

// end checks that nothing follows the value.
func (w *walker) end(what string) error {
	switch _, err := w.dec.ReadToken(); {
	case err == nil:
		return fieldErrorf(what, "has more than one JSON value")
	case errors.Is(err, io.EOF):
		return nil
	default:
		return jsonError(err)
	}
}

// knownName reads a quoted name without allocating it if it is one that nearly every document consists of.
func knownName(raw []byte) (name string, ok bool) {
	switch string(raw) {
	case `"tier"`:
		return "tier", true
	case `"tags"`:
		return "tags", true
	case `"title"`:
		return "title", true
	case `"scope"`:
		return "scope", true
	case `"source"`:
		return "source", true
	case `"content"`:
		return "content", true
	case `"agent_id"`:
		return "agent_id", true
	case `"metadata"`:
		return "metadata", true
	case `"priority"`:
		return "priority", true
	case `"namespace"`:
		return "namespace", true
	case `"confidence"`:
		return "confidence", true
	case `"created_at"`:
		return "created_at", true
	case `"updated_at"`:
		return "updated_at", true
	case `"expires_at"`:
		return "expires_at", true
	}
	return "", false
}

// unquote decodes a JSON string that the decoder has accepted.
func unquote(raw []byte) (string, error) {
	if len(raw) >= 2 && raw[0] == '"' && bytes.IndexByte(raw, '\\') < 0 {
		return string(raw[1 : len(raw)-1]), nil
	}
	b, err := jsontext.AppendUnquote(nil, raw)
	return string(b), err
}

// canonical brings a value that the decoder has accepted into the form of Raw. It keeps numbers as they were written: rounding a long
// integer to a float would be a silent change.
func canonical(value []byte) (Raw, error) {
	v := jsontext.Value(bytes.Clone(value))
	err := v.Format(jsontext.ReorderRawObjects(true), jsontext.CanonicalizeRawInts(false), jsontext.CanonicalizeRawFloats(false),
		jsontext.PreserveRawStrings(false))
	if err != nil {
		return nil, jsonError(err)
	}
	return Raw(v), nil
}

// depth is the nesting of objects and arrays in a valid value: 0 for a scalar.
func depth(value []byte) int {
	deep, now, quoted := 0, 0, false
	for i := 0; i < len(value); i++ {
		c := value[i]
		switch {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			now++
			deep = max(deep, now)
		case c == '}' || c == ']':
			now--
		}
	}
	return deep
}

// hugeNumber finds a number that no float64 can hold. Many readers fail on the whole document that has one, so it is not stored.
func hugeNumber(value []byte) bool {
	for i := 0; i < len(value); i++ {
		switch c := value[i]; {
		case c == '"':
			for i++; value[i] != '"'; i++ {
				if value[i] == '\\' {
					i++
				}
			}
		case c >= '0' && c <= '9':
			from := i
			for i < len(value) && bytes.IndexByte([]byte("0123456789.eE+-"), value[i]) >= 0 {
				i++
			}
			if _, err := strconv.ParseFloat(string(value[from:i]), 64); err != nil {
				return true
			}
			i--
		}
	}
	return false
}

// Field is one member of a JSON object, its value canonical.
type Field struct {
	Name  string
	Value Raw
}

package memory

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// known is the set of names that a request about a memory can carry with a meaning of its own. No other name that differs from one of
// them in case only is taken: it would be kept as an unknown member and the writer would wonder.
var known = map[string]bool{
	"id": true, "tier": true, "namespace": true, "title": true, "content": true, "tags": true, "priority": true, "confidence": true,
	"source": true, "access_count": true, "created_at": true, "updated_at": true, "last_accessed_at": true, "expires_at": true,
	"metadata": true, "ttl_secs": true, "agent_id": true, "scope": true, "on_conflict": true,
}

// answers are names that memd itself puts beside a record. They come back in bodies when a client edits what it has read, mean
// nothing there, and are dropped.
var answers = map[string]bool{
	"token": true, "conflicts": true, "ambiguous": true, "score": true, "dot": true, "acks": true, "quorum_acks": true,
	"idempotency_key": true, "after": true,
}

// extraField judges a member that the decoder has no use for: a field to keep, or nothing.
func extraField(name string, value []byte) (f Field, keep bool, err error) {
	if answers[name] || known[name] {
		return f, false, nil
	}
	if low := strings.ToLower(name); known[low] || answers[low] {
		return f, false, fieldErrorf("body", "has a key that differs from %s only in case", low)
	}
	if depth(value) > MaxDepth {
		return f, false, fieldErrorf("body", "is nested more than %d levels", MaxDepth)
	}
	if hugeNumber(value) {
		return f, false, fieldErrorf("body", "has a number out of range")
	}
	v, err := canonical(value)
	return Field{Name: name, Value: v}, err == nil, err
}

// settleExtra sorts the unknown members of one body and refuses two that differ in case only.
func settleExtra(fields []Field) error {
	sortFields(fields)
	if len(fields) < 2 {
		return nil
	}
	seen := make(map[string]struct{}, len(fields))
	for _, f := range fields {
		seen[strings.ToLower(f.Name)] = struct{}{}
	}
	if len(seen) < len(fields) {
		return errCaseVariants
	}
	return nil
}

// maxSmallExtra bounds what a small record carries along, such as the original's signature of 64 numbers: bytes of names and values.
const maxSmallExtra = 8 << 10

// checkExtra refuses unknown members that are too long, or that differ from one of the
// record's own names in case only.
func checkExtra(of string, fields []Field, own ...string) error {
	n := 0
	for _, f := range fields {
		n += len(f.Name) + len(f.Value)
		if low := strings.ToLower(f.Name); slices.Contains(own, low) {
			return fieldErrorf(of, "has a key that differs from %s only in case", low)
		}
	}
	if n > maxSmallExtra {
		return fieldErrorf(of, "has more than %d bytes of unknown members", maxSmallExtra)
	}
	return nil
}

var errCaseVariants error = &FieldError{Field: "body", Problem: "has two keys that differ only in case"}

func sortFields(fields []Field) {
	slices.SortFunc(fields, func(a, b Field) int { return strings.Compare(a.Name, b.Name) })
}

func isNull(v []byte) bool { return len(v) == 4 && v[0] == 'n' }

func stringField(name string, v []byte) (string, error) {
	if v[0] != '"' {
		return "", fieldErrorf(name, "must be a string")
	}
	s, err := unquote(v)
	if err != nil {
		return "", jsonError(err)
	}
	return s, nil
}

// optional reads a value that is a pointer where it is kept.
func optional[T any](read func(string, []byte) (T, error), name string, v []byte) (*T, error) {
	x, err := read(name, v)
	if err != nil {
		return nil, err
	}
	return &x, nil
}

func integerField(name string, v []byte) (int64, error) {
	n, err := strconv.ParseInt(string(v), 10, 64)
	if err != nil {
		return 0, fieldErrorf(name, "must be an integer")
	}
	return n, nil
}

func numberField(name string, v []byte) (float64, error) {
	if c := v[0]; c != '-' && (c < '0' || c > '9') {
		return 0, fieldErrorf(name, "must be a number")
	}
	x, err := strconv.ParseFloat(string(v), 64)
	if err != nil || math.IsInf(x, 0) {
		return 0, fieldErrorf(name, "must be a number within range")
	}
	return x + 0, nil // -0 becomes 0
}

func timeField(name string, v []byte) (time.Time, error) {
	s, err := stringField(name, v)
	if err != nil {
		return time.Time{}, err
	}
	t, err := ParseTime(s)
	if err != nil {
		return time.Time{}, fieldErrorf(name, "%s", err)
	}
	return t, nil
}

func tagsField(v []byte) ([]string, error) { return stringsField("tags", v, MaxTags) }

func stringsField(name string, v []byte, most int) ([]string, error) {
	if v[0] != '[' {
		return nil, fieldErrorf(name, "must be an array of strings")
	}
	list := []string{}
	if len(v) == 2 {
		return list, nil
	}
	err := eachElement(v, func(item []byte) error {
		if item[0] != '"' {
			return fieldErrorf(name, "must be an array of strings")
		}
		if len(list) == most {
			return fieldErrorf(name, "must have at most %d items", most)
		}
		s, err := unquote(item)
		list = append(list, s)
		return err
	})
	return list, err
}

func metadataField(v []byte) (Raw, error) {
	if v[0] != '{' {
		return nil, fieldErrorf("metadata", "must be a JSON object")
	}
	if depth(v) > MaxDepth {
		return nil, fieldErrorf("metadata", "must be nested at most %d levels", MaxDepth)
	}
	if hugeNumber(v) {
		return nil, fieldErrorf("metadata", "has a number out of range")
	}
	m, err := canonical(v)
	if err != nil {
		return nil, err
	}
	return m, checkMetadata(m)
}

func checkMetadata(m Raw) error {
	if len(m) > MaxMetadata {
		return fieldErrorf("metadata", "must have at most %d bytes", MaxMetadata)
	}
	return nil
}

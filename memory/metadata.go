package memory

import (
	"slices"
	"strings"
	"unicode/utf16"
)

// text is a string member of an object, "" if it is absent or not a string.
func (r Raw) text(name string) (s string) {
	if len(r) <= 2 {
		return ""
	}
	_ = eachMember(r, "metadata", func(n string, v []byte) error {
		if n == name && v[0] == '"' {
			s, _ = unquote(v)
		}
		return nil
	})
	return s
}

// has tells whether the object has the member.
func (r Raw) has(name string) (found bool) {
	if len(r) <= 2 {
		return false
	}
	_ = eachMember(r, "metadata", func(n string, _ []byte) error {
		found = found || n == name
		return nil
	})
	return found
}

// with is the object with the string members set. r must be canonical, and so is the result.
func (r Raw) with(members ...Field) (Raw, error) {
	if len(members) == 0 {
		return r, nil
	}
	all := slices.Clone(members)
	if len(r) > 2 {
		err := eachMember(r, "metadata", func(n string, v []byte) error {
			if !slices.ContainsFunc(members, func(f Field) bool { return f.Name == n }) {
				all = append(all, Field{Name: n, Value: v})
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	slices.SortFunc(all, func(a, b Field) int { return compareNames(a.Name, b.Name) })
	out := make(Raw, 0, len(r)+64)
	for i, f := range all {
		if i == 0 {
			out = append(out, '{')
		} else {
			out = append(out, ',')
		}
		out = AppendString(out, f.Name)
		out = append(out, ':')
		out = append(out, f.Value...)
	}
	return append(out, '}'), nil
}

func textField(name, s string) Field { return Field{Name: name, Value: AppendString(nil, s)} }

// compareNames is the order of keys in canonical JSON (RFC 8785): by UTF-16 code units.
func compareNames(a, b string) int {
	if isASCII(a) && isASCII(b) {
		return strings.Compare(a, b)
	}
	return slices.Compare(utf16.Encode([]rune(a)), utf16.Encode([]rune(b)))
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

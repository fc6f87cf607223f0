package memory

import (
	"errors"
	"strings"
	"testing"
)

func TestValidateIDs(t *testing.T) {
	for _, c := range []struct {
		ids  []string
		says string
	}{
		{[]string{"a", "b"}, ""}, {[]string{"a", "b", "c"}, ""},
		{nil, "ids must have 2 to 3 items"}, {[]string{"a"}, "ids must have 2 to 3 items"}, {[]string{"a", "b", "c", "d"}, "ids must have 2 to 3 items"},
		{[]string{"a", "a"}, "ids[1] is there twice"}, {[]string{"a", "b/c"}, "ids[1] must not contain a slash"}, {[]string{"", "b"}, "ids[0] must have 1 to 128"},
	} {
		err := ValidateIDs(c.ids, 2, 3)
		if (err == nil) != (c.says == "") || err != nil && (!errors.Is(err, ErrInvalid) || !strings.HasPrefix(err.Error(), c.says)) {
			t.Errorf("%q: %v", c.ids, err)
		}
	}
	if err := ValidateQuery("q", strings.Repeat("a", MaxQuery)); err != nil {
		t.Error(err)
	}
	for _, bad := range []string{strings.Repeat("a", MaxQuery+1), "a\x00", "\xff"} {
		if err := ValidateQuery("q", bad); !errors.Is(err, ErrInvalid) {
			t.Errorf("%.10q: %v", bad, err)
		}
	}
}

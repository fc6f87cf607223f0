package memory

import (
	"errors"
	"strings"
	"testing"
	"time"
)

var epoch = time.Date(2026, 11, 22, 10, 30, 0, 123456789, time.UTC)

// wantField fails unless err is a FieldError of that field, and an ErrInvalid, and does not repeat secret.
func wantField(t *testing.T, name string, err error, field, secret string) {
	t.Helper()
	var fe *FieldError
	switch {
	case !errors.As(err, &fe) || !errors.Is(err, ErrInvalid):
		t.Errorf("%s: %v is no FieldError", name, err)
	case fe.Field != field:
		t.Errorf("%s: field %q, want %q (%v)", name, fe.Field, field, err)
	case secret != "" && strings.Contains(err.Error(), secret):
		t.Errorf("%s: the message repeats the input: %v", name, err)
	}
}

package vector

import (
	"bytes"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// written is a file of three batches, with what it holds after each, and where each ends.
func written(t testing.TB, path string) (states []map[string]string, ends []int64) {
	t.Helper()
	s := newSet(3)
	f, err := makeFile(path, "m", s, batch{})
	if err != nil {
		t.Fatal(err)
	}
	defer f.close()
	point := func(a, b, c float32) Point { return quantise([]float32{a, b, c}) }
	p := place{"a/b", "private", "mid"}
	// The header alone is a file of nothing, too.
	states, ends = append(states, map[string]string{}), append(ends, f.size-int64(len(frame((&batch{}).append(nil)))))
	for i, puts := range [][]put{
		{{"one", p, sum{1}, point(1, 2, 3)}, {"two", p, sum{2}, point(3, 2, 1)}},
		{{id: "one"}, {"three", place{"z", "team", "long"}, sum{3}, point(-1, 0, 1)}},
		{{"two", p, sum{4}, point(9, 9, 8)}},
	} {
		b := batch{uint64(i + 1), []byte("mark"), puts}
		if err := f.append(&b); err != nil {
			t.Fatal(err)
		}
		s.apply(puts)
		states, ends = append(states, contents(s)), append(ends, f.size)
	}
	return states, ends
}

func contents(s *set) map[string]string {
	out := map[string]string{}
	_ = s.each(func(puts []put) error {
		for i := range puts {
			out[puts[i].id] = string((&batch{puts: puts[i : i+1]}).append(nil))
		}
		return nil
	})
	return out
}

// TestFile: a file that is broken off anywhere, or has any byte changed, is what it was after
// one of its batches, and can be written on; or it is of no use and says so.
func TestFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "vectors")
	states, ends := written(t, path)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	last := len(states) - 1
	check := func(what string, at int, raw []byte) {
		t.Helper()
		if err := os.WriteFile(path, raw, 0o600); err != nil {
			t.Fatal(err)
		}
		want := last
		for want >= 0 && ends[want] > int64(at) {
			want--
		}
		f, s, b, err := openFile(path, "m")
		if want < 0 {
			if !errors.Is(err, errOther) {
				t.Fatalf("%s %d: %v", what, at, err)
			}
			return
		}
		if err != nil {
			t.Fatalf("%s %d: %v", what, at, err)
		}
		defer f.close()
		if !maps.Equal(contents(s), states[want]) || b.seq != uint64(want) {
			t.Fatalf("%s %d: seq %d, %d vectors, want the state after batch %d", what, at, b.seq, s.len(), want)
		}
		more := batch{seq: 77, mark: []byte("m"), puts: []put{{id: "four", Point: quantise([]float32{1, 1, 1})}}}
		if err := f.append(&more); err != nil {
			t.Fatal(err)
		}
		g, again, b, err := openFile(path, "m")
		if err != nil {
			t.Fatal(err)
		}
		defer g.close()
		if again.len() != s.len()+1 || b.seq != 77 || string(b.mark) != "m" {
			t.Fatalf("%s %d: written on, it holds %d, seq %d", what, at, again.len(), b.seq)
		}
	}
	for size := range len(whole) {
		check("cut at", size, whole[:size])
	}
	check("whole", len(whole), whole)
	for at := range whole {
		changed := slices.Clone(whole)
		changed[at] ^= 0x41
		check("changed at", at, changed)
	}
	check("zeros behind", len(whole), append(slices.Clone(whole), make([]byte, 500)...))
}

func TestFileOfAnother(t *testing.T) {
	path := filepath.Join(t.TempDir(), "vectors")
	if _, _, _, err := openFile(path, "m"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without a file: %v", err)
	}
	written(t, path)
	if _, _, _, err := openFile(path, "other"); !errors.Is(err, errOther) {
		t.Errorf("of another model: %v", err)
	}
	if info, err := os.Stat(path); err != nil {
		t.Error(err)
	} else if info.Mode().Perm() != 0o600 {
		t.Error(info.Mode())
	}
	// A vector of another length is none of this file, whatever its checksum says.
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b := batch{seq: 9, puts: []put{{id: "x", Point: quantise([]float32{1, 2})}}}
	if err := os.WriteFile(path, append(raw, frame(b.append(nil))...), 0o600); err != nil {
		t.Fatal(err)
	}
	f, s, last, err := openFile(path, "m")
	if err != nil || last.seq != 3 || s.len() != 2 {
		t.Fatalf("seq %d, %v", last.seq, err)
	}
	f.close()
}

// FuzzBatch: no bytes make the reader panic, and what it reads it writes again the same.
func FuzzBatch(f *testing.F) {
	b := batch{7, []byte("mark"), []put{{"one", place{"a", "b", "c"}, sum{1}, quantise([]float32{1, 2, 3})}, {id: "two"}}}
	f.Add(b.append(nil))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, raw []byte) {
		b, err := parseBatch(raw, 3)
		if err != nil {
			return
		}
		again := b.append(nil)
		c, err := parseBatch(again, 3)
		if err != nil || !bytes.Equal(c.append(nil), again) {
			t.Errorf("%x becomes %x, %v", raw, again, err)
		}
	})
}

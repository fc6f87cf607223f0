package auth

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/memd/memd/memory"
)

// Bounds of a keys file.
const (
	maxFile = 4 << 20
	maxKeys = 10_000
)

// entry is one key in the file.
type entry struct {
	ID         string    `json:"id"`
	Name       string    `json:"name"`
	SHA256     string    `json:"sha256"` // hex, of the key's text
	Scopes     []string  `json:"scopes"`
	Namespaces []string  `json:"namespaces"`
	Agents     []string  `json:"agents"`
	Created    time.Time `json:"created_at"`
	Expires    time.Time `json:"expires_at,omitzero"`
}

type file struct {
	Keys []entry `json:"keys"`
}

// Listed is a key as an operator sees it.
type Listed struct {
	ID         string     `json:"id"`
	Name       string     `json:"name"`
	Scopes     []string   `json:"scopes"`
	Namespaces []string   `json:"namespaces"`
	Agents     []string   `json:"agents"`
	Created    time.Time  `json:"created_at"`
	Expires    *time.Time `json:"expires_at,omitempty"`
}

func (e *entry) listed() Listed {
	out := Listed{ID: e.ID, Name: e.Name, Scopes: e.Scopes, Namespaces: e.Namespaces, Agents: e.Agents, Created: e.Created}
	if !e.Expires.IsZero() {
		out.Expires = &e.Expires
	}
	return out
}

func (e *entry) principal() (*Principal, Digest, error) {
	d, ok := parseDigest(e.SHA256)
	switch {
	case !isID(e.ID):
		return nil, d, errors.New("id: want 12 hex digits")
	case !ok:
		return nil, d, errors.New("sha256: want 64 hex digits")
	}
	scopes, err := ParseScopes(e.Scopes)
	if err != nil {
		return nil, d, err
	}
	p := &Principal{ID: e.ID, Name: e.Name, Scopes: scopes, Namespaces: e.Namespaces, Agents: e.Agents, Expires: e.Expires, Strong: true}
	return p, d, p.check()
}

// parseFile reads a keys file. An error names the key by its place and says nothing of the
// digests; the file is taken as a whole or not at all.
func parseFile(b []byte) (file, *set, error) {
	var f file
	if err := memory.ParseJSON(b, &f); err != nil {
		return f, nil, err
	}
	if len(f.Keys) > maxKeys {
		return f, nil, fmt.Errorf("%d keys: at most %d", len(f.Keys), maxKeys)
	}
	s := &set{byID: make(map[string]held, len(f.Keys))}
	for i := range f.Keys {
		p, d, err := f.Keys[i].principal()
		if err != nil {
			return f, nil, fmt.Errorf("key %d: %w", i+1, err)
		}
		if _, twice := s.byID[p.ID]; twice {
			return f, nil, fmt.Errorf("key %d: the id is there twice", i+1)
		}
		s.byID[p.ID] = held{p, d}
	}
	return f, s, nil
}

// readFile reads at most what a keys file may have. One that others than its owner may
// write is refused: whoever does could make a key.
func readFile(path string) ([]byte, os.FileInfo, error) {
	in, err := os.Open(path) //nolint:gosec // the operator names the file
	if err != nil {
		return nil, nil, err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return nil, nil, err
	}
	switch {
	case !info.Mode().IsRegular():
		return nil, nil, fmt.Errorf("%w %s: not a regular file", ErrFile, path)
	case info.Mode().Perm()&0o022 != 0:
		return nil, nil, fmt.Errorf("%w %s: can be written by others than its owner (mode %04o): chmod 600 it", ErrFile, path, info.Mode().Perm())
	}
	b, err := io.ReadAll(io.LimitReader(in, maxFile+1))
	if err == nil && len(b) > maxFile {
		err = fmt.Errorf("%s has more than %d bytes", path, maxFile)
	}
	return b, info, err
}

// ReadKeyFile reads a file that holds one key: its first line, without white space around.
func ReadKeyFile(path string) (string, error) {
	in, err := os.Open(path) //nolint:gosec // the operator names the file
	if err != nil {
		return "", err
	}
	defer in.Close()
	b, err := io.ReadAll(io.LimitReader(in, MaxKey+64))
	if err != nil {
		return "", err
	}
	line, rest, _ := strings.Cut(strings.TrimSpace(string(b)), "\n")
	if line = strings.TrimSpace(line); rest != "" {
		return "", fmt.Errorf("%s: want one key and nothing else", path)
	}
	if err := CheckKey(line); err != nil {
		return "", fmt.Errorf("%s: %w", path, err)
	}
	return line, nil
}

// CheckKey tells whether a key can be said in a header.
func CheckKey(key string) error {
	if key == "" || len(key) > MaxKey {
		return fmt.Errorf("a key has 1 to %d characters", MaxKey)
	}
	for i := range len(key) {
		if key[i] <= ' ' || key[i] > '~' {
			return errors.New("a key has only printable ASCII characters, and no space")
		}
	}
	return nil
}

// Grant is what a new key is for.
type Grant struct {
	Name               string
	Scopes             []string
	Namespaces, Agents []string
	Expires            time.Time // zero = never
}

// Add makes a key, writes its digest into the file, which is made if it is not there, and
// returns the key: it is shown once and kept nowhere.
func Add(path string, g Grant) (key string, made Listed, err error) {
	key, id := newKey()
	e := entry{
		ID: id, Name: g.Name, SHA256: DigestOf(key).String(), Scopes: g.Scopes, Namespaces: orNone(g.Namespaces), Agents: orNone(g.Agents),
		Created: time.Now().UTC().Truncate(time.Second), Expires: g.Expires,
	}
	if len(g.Scopes) == 0 {
		return "", made, errors.New("a key without a scope may do nothing: want some of read, write, peer, admin")
	}
	if _, _, err := e.principal(); err != nil {
		return "", made, err
	}
	err = edit(path, true, func(f *file) error {
		f.Keys = append(f.Keys, e)
		return nil
	})
	return key, e.listed(), err
}

func orNone(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

// ErrFile is a keys file that cannot be taken as it is.
var ErrFile = errors.New("keys file")

// ErrUnknownKey is a name or an id that no key of the file has.
var ErrUnknownKey = errors.New("no such key")

// Revoke takes the keys of that id or name out of the file.
func Revoke(path, name string) (gone []Listed, err error) {
	err = edit(path, false, func(f *file) error {
		kept := f.Keys[:0]
		for i := range f.Keys {
			if e := &f.Keys[i]; e.ID == name || e.Name == name {
				gone = append(gone, e.listed())
			} else {
				kept = append(kept, *e)
			}
		}
		if f.Keys = kept; len(gone) == 0 {
			return fmt.Errorf("%w: %.40q", ErrUnknownKey, name)
		}
		return nil
	})
	return gone, err
}

// List returns the keys of a file, in the order in which they were added.
func List(path string) ([]Listed, error) {
	b, _, err := readFile(path)
	if err != nil {
		return nil, err
	}
	f, _, err := parseFile(b)
	if err != nil {
		return nil, fmt.Errorf("%w %s: %w", ErrFile, path, err)
	}
	out := make([]Listed, len(f.Keys))
	for i := range f.Keys {
		out[i] = f.Keys[i].listed()
	}
	return out, nil
}

// edit changes the file as one step: a node that reads it meets the old or the new one.
func edit(path string, create bool, change func(*file) error) error {
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target // or the link would be replaced
	}
	unlock, err := lock(path + ".lock")
	if err != nil {
		return err
	}
	defer unlock()
	f := file{Keys: []entry{}}
	b, old, err := readFile(path)
	switch {
	case create && errors.Is(err, os.ErrNotExist):
	case err != nil:
		return err
	default:
		if f, _, err = parseFile(b); err != nil {
			return fmt.Errorf("%w %s: %w", ErrFile, path, err)
		}
	}
	if err := change(&f); err != nil {
		return err
	}
	if b, err = memory.AppendJSON(nil, f); err != nil {
		return err
	}
	if _, _, err := parseFile(b); err != nil { // never leave a file that no node would take
		return err
	}
	return replace(path, append(b, '\n'), old)
}

// replace writes the file anew, as readable as the old one was: the node may be another
// user than whoever edits.
func replace(path string, b []byte, old os.FileInfo) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), ".keys-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name()) // not there any more if all went well
	_, err = tmp.Write(b)
	if old != nil {
		err = errors.Join(err, tmp.Chmod(old.Mode().Perm()), keepOwner(tmp, old))
	}
	err = errors.Join(err, tmp.Sync(), tmp.Close())
	if err != nil {
		return err
	}
	return os.Rename(tmp.Name(), path)
}

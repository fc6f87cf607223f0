package history

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"time"
)

// Recorder collects ops in memory and in a file. It is safe for concurrent use.
type Recorder struct {
	path  string
	began time.Time

	mu   sync.Mutex
	file *os.File
	out  *bufio.Writer
	ops  []Op
	err  error // the first one of writing the file
}

// NewRecorder creates the file, which must not be there.
func NewRecorder(path string) (*Recorder, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	return &Recorder{path: path, began: time.Now(), file: f, out: bufio.NewWriterSize(f, 64<<10)}, nil
}

// Path of the file.
func (r *Recorder) Path() string { return r.path }

// Now is the time of the history, for Start and End.
func (r *Recorder) Now() int64 { return int64(time.Since(r.began)) }

// Add appends one op. An error of the file is kept for Close: a run is judged from
// memory, the file is there for afterwards.
func (r *Recorder) Add(op Op) {
	line, err := json.Marshal(op)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ops = append(r.ops, op)
	if err == nil {
		_, err = r.out.Write(append(line, '\n'))
	}
	if r.err == nil {
		r.err = err
	}
}

// Ops returns a copy of what was recorded so far.
func (r *Recorder) Ops() []Op {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.ops)
}

// Flush writes what is buffered, so that the file can be read.
func (r *Recorder) Flush() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.out.Flush(); r.err == nil {
		r.err = err
	}
	return r.err
}

// Close flushes and closes the file.
func (r *Recorder) Close() error {
	err := r.Flush()
	return errors.Join(err, r.file.Close())
}

// Load reads a history.
func Load(in io.Reader) ([]Op, error) {
	var ops []Op
	d := json.NewDecoder(in)
	for {
		var op Op
		switch err := d.Decode(&op); {
		case errors.Is(err, io.EOF):
			return ops, nil
		case err != nil:
			return ops, fmt.Errorf("history, op %d: %w", len(ops)+1, err)
		}
		ops = append(ops, op)
	}
}

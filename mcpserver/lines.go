package mcpserver

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"sync"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
)

// lines stands in front of the SDK's reader, which ends the conversation at the first line
// that it cannot read. Here such a line is answered and left out: an agent's framework that
// prints to the wrong descriptor once must not lose its memory.
type lines struct {
	in     io.ReadCloser
	buf    *bufio.Reader
	out    *shared
	rest   []byte // of the line that is being handed on
	single bool   // the client speaks a revision that has no batches
}

// maxLine bounds what one message may take: above what any tool accepts, below what the
// SDK does.
const maxLine = 8 << 20

func newLines(in io.ReadCloser, out *shared) *lines {
	return &lines{in: in, buf: bufio.NewReaderSize(in, 64<<10), out: out}
}

func (l *lines) Close() error { return l.in.Close() }

// Read hands on at most one line, so that the SDK counts each for itself.
func (l *lines) Read(p []byte) (int, error) {
	for len(l.rest) == 0 {
		line, err := l.line()
		if err == nil || errors.Is(err, io.EOF) && len(line) > 0 {
			err = l.take(line)
		}
		if errors.Is(err, errLong) {
			err = l.refuse(nil, jsonrpc.CodeParseError, "parse error: "+err.Error())
		}
		if err != nil {
			return 0, err
		}
	}
	n := copy(p, l.rest)
	l.rest = l.rest[n:]
	return n, nil
}

var errLong = errors.New("a message may have at most 8 MiB")

// line is the next line without white space around it; one that is too long is read to its
// end and is errLong.
func (l *lines) line() (line []byte, err error) {
	long := false
	for {
		part, err := l.buf.ReadSlice('\n')
		if long = long || len(line)+len(part) > maxLine; !long {
			line = append(line, part...)
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case long && (err == nil || errors.Is(err, io.EOF)):
			return nil, errLong // the end comes with the next read
		}
		return bytes.TrimSpace(line), err
	}
}

// take hands a line on if the SDK will read it, and answers it otherwise.
func (l *lines) take(line []byte) error {
	if len(line) == 0 {
		return nil
	}
	if !json.Valid(line) {
		return l.refuse(nil, jsonrpc.CodeParseError, "parse error: the line is not one JSON value")
	}
	messages := []json.RawMessage{line}
	if line[0] == '[' {
		messages = nil
		if err := json.Unmarshal(line, &messages); err != nil {
			return l.refuse(nil, jsonrpc.CodeParseError, "parse error: "+err.Error())
		}
		switch {
		case len(messages) == 0:
			return l.refuse(nil, jsonrpc.CodeInvalidRequest, "invalid request: an empty batch")
		case l.single:
			return l.refuse(nil, jsonrpc.CodeInvalidRequest, "invalid request: this revision of the protocol has no batches")
		}
	}
	seen := map[jsonrpc.ID]bool{}
	var alone, batch []json.RawMessage
	for _, raw := range messages {
		msg, err := jsonrpc.DecodeMessage(raw)
		if err != nil {
			return l.refuse(raw, jsonrpc.CodeInvalidRequest, "invalid request: "+err.Error())
		}
		r, ok := msg.(*jsonrpc.Request)
		if !ok || !r.ID.IsValid() {
			alone = append(alone, raw)
			continue
		}
		if seen[r.ID] {
			return l.refuse(raw, jsonrpc.CodeInvalidRequest, "invalid request: an id is used twice in a batch")
		}
		seen[r.ID] = true
		batch = append(batch, raw)
		if r.Method == "initialize" {
			var asked struct {
				Version string `json:"protocolVersion"`
			}
			_ = json.Unmarshal(r.Params, &asked) // the SDK says what is wrong with them
			l.single = asked.Version != "2024-11-05" && asked.Version != "2025-03-26"
		}
	}
	if line[0] != '[' {
		l.rest = append(line, '\n')
		return nil
	}
	// The SDK would wait for answers to notifications of a batch.
	for _, raw := range alone {
		l.rest = append(append(l.rest, raw...), '\n')
	}
	if len(batch) > 0 {
		b, err := json.Marshal(batch)
		if err != nil {
			return err
		}
		l.rest = append(append(l.rest, b...), '\n')
	}
	return nil
}

// refuse answers a line that is no message, with the id of the request if it has one.
func (l *lines) refuse(raw []byte, code int64, text string) error {
	var said struct {
		ID any `json:"id"`
	}
	_ = json.Unmarshal(raw, &said) // what has no id is answered with null
	switch said.ID.(type) {
	case string, float64:
	default:
		said.ID = nil
	}
	b, err := json.Marshal(refusalOf(said.ID, code, text))
	if err == nil {
		_, err = l.out.Write(append(b, '\n'))
	}
	return err
}

// shared lets the SDK and lines write to one output, each message whole.
type shared struct {
	io.WriteCloser
	mu sync.Mutex
}

func (s *shared) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.WriteCloser.Write(b)
}

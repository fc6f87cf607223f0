package wire

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"time"
)

// IsPushUpgrade reports whether a request to PathPush asks for a push stream.
func IsPushUpgrade(r *http.Request) bool {
	return hasToken(r.Header.Values("Connection"), "upgrade") && hasToken(r.Header.Values("Upgrade"), UpgradeProto)
}

// CheckPush checks the headers of a push, as a stream or as a plain POST: who calls, in
// which protocol, from which cluster. The errors carry the status to answer with: 400
// ([*memory.FieldError]), 409 or 503 ([*StatusError]).
func CheckPush(r *http.Request, self Self) (Hello, error) {
	hello, err := ParseHello(r.Header)
	if err != nil {
		return hello, err
	}
	if err := checkProto(hello.Proto); err != nil {
		return hello, err
	}
	if err := self.CheckCluster(hello.Cluster); err != nil {
		return hello, err
	}
	if hello.Name == self.Name {
		return hello, &StatusError{Status: http.StatusConflict, Code: "name_clash", Message: "the caller has the name of this node"}
	}
	return hello, nil
}

// AcceptPush turns a request into a push stream: it checks the headers, takes the
// connection from the server and answers 101. After that the connection is the
// caller's to close, and a server's Shutdown does not know it.
//
// An error before the take-over is a [*StatusError] or [*memory.FieldError], to be
// answered by the front door; nothing has been written. Any other error means that
// the connection is gone.
func AcceptPush(w http.ResponseWriter, r *http.Request, self Self) (*PushConn, error) {
	if !IsPushUpgrade(r) || r.Method != http.MethodPost || r.ProtoMajor != 1 {
		return nil, &StatusError{Status: http.StatusUpgradeRequired, Code: "upgrade_required", Message: "a push stream needs POST over HTTP/1.1 with Upgrade: " + UpgradeProto}
	}
	if r.ContentLength != 0 {
		return nil, &StatusError{Status: http.StatusBadRequest, Message: "a request to upgrade has no body"}
	}
	hello, err := CheckPush(r, self)
	if err != nil {
		return nil, err
	}
	conn, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return nil, &StatusError{Status: http.StatusUpgradeRequired, Code: "upgrade_required", Message: "this connection cannot be upgraded"}
	}
	// The server's timeouts for requests must not end the stream.
	_ = conn.SetDeadline(time.Time{})

	var b bytes.Buffer
	header := http.Header{"Connection": {"Upgrade"}, "Upgrade": {UpgradeProto}}
	self.Hello().Set(header)
	b.WriteString("HTTP/1.1 101 Switching Protocols\r\n")
	_ = header.Write(&b)
	b.WriteString("\r\n")
	_ = conn.SetWriteDeadline(time.Now().Add(ackTimeout))
	if _, err := conn.Write(b.Bytes()); err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("accept push from %s: %w", hello.Name, err)
	}
	// Read past the server's small buffer, but not past what is in it.
	ahead, _ := rw.Reader.Peek(rw.Reader.Buffered())
	in := io.MultiReader(bytes.NewReader(bytes.Clone(ahead)), conn)
	return &PushConn{
		stream: newStream(conn, bufio.NewReaderSize(in, 32<<10), ackTimeout),
		Peer:   hello,
	}, nil
}

// ackTimeout is how long a sender may take to read one ack. It is generous, since the
// sender may have been stopped, and finite, since each stream holds memory.
const ackTimeout = 30 * time.Second

// PushConn is the receiving side of a push. One goroutine may receive while others
// send acks.
type PushConn struct {
	*stream
	Peer Hello // who pushes, as it says
}

// Recv waits for the next batch or nudge: for ever, unless SetReadDeadline says
// otherwise or the connection is closed. io.EOF means that the peer closed the stream
// in good order; after any other error the stream is of no use. The batch owns its
// memory.
func (c *PushConn) Recv() (Pushed, error) {
	p, err := readPushed(c.frames)
	return p, c.readError(err)
}

// SendAck writes one ack. It may block up to 30 s while the peer does not read.
func (c *PushConn) SendAck(a Ack) error {
	return c.send(func(b []byte) ([]byte, error) { return AppendAck(b, &a) })
}

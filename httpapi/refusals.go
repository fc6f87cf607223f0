package httpapi

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"strconv"
	"strings"

	"github.com/memd/memd/memory"
)

// Listener wraps the listener of a server, with TLS if secure is not nil. What net/http
// refuses before there is a request for a handler (a request line, a header or a framing
// that is none) it answers by itself, in plain text, with 417 without a word and with 501
// and 505 for what is the client's fault; here that becomes the error that every other
// refusal is.
//
// The server must be one of NewServer. It does not see that there is TLS, which is beneath
// what is rewritten: requests come without Request.TLS (see connState) and over HTTP/1.1
// only. The handshake is done by the first read, within the time for a header; failed, if it
// is not nil, is told of one that did not succeed.
func Listener(l net.Listener, secure *tls.Config, failed func(from net.Addr, err error)) net.Listener {
	if failed == nil {
		failed = func(net.Addr, error) {}
	}
	return listener{l, secure, failed}
}

type listener struct {
	net.Listener
	secure *tls.Config
	failed func(from net.Addr, err error)
}

func (l listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	if l.secure == nil {
		return &conn{Conn: c}, nil
	}
	secured := tls.Server(c, l.secure)
	return &conn{Conn: secured, secured: secured, failed: l.failed}, nil
}

type conn struct {
	net.Conn
	secured *tls.Conn // nil without TLS
	failed  func(from net.Addr, err error)
	told    bool // failed was; net/http reads from one goroutine at a time
}

// Read tells a client that speaks plain HTTP to a listener with TLS what is wrong.
func (c *conn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if err == nil || c.secured == nil {
		return n, err
	}
	if !c.told && !c.secured.ConnectionState().HandshakeComplete {
		c.told = true
		c.failed(c.RemoteAddr(), err)
	}
	if bad, ok := errors.AsType[tls.RecordHeaderError](err); ok && bad.Conn != nil && likeHTTP(bad.RecordHeader) {
		_, _ = bad.Conn.Write(refusalPlain)
		_ = bad.Conn.Close()
	}
	return n, err
}

// likeHTTP tells the first bytes of a request from those of anything else.
func likeHTTP(head [5]byte) bool {
	for _, b := range head {
		if (b < 'A' || b > 'Z') && b != ' ' && b != '/' {
			return false
		}
	}
	return true
}

// Write is called by net/http with the whole of such an answer at once.
func (c *conn) Write(b []byte) (int, error) {
	r := refusalOf(b)
	if r == nil {
		return c.Conn.Write(b)
	}
	if _, err := c.Conn.Write(r); err != nil {
		return 0, err
	}
	return len(b), nil
}

// CloseWrite lets the client read its refusal while the server no longer reads.
func (c *conn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// connKey finds the connection of a request in its context.
type connKey struct{}

func withConn(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, c)
}

// connState is what is known of the other side of a request's connection; nil without TLS.
func connState(r *http.Request) *tls.ConnectionState {
	if r.TLS != nil { // of a server that is not one of NewServer
		return r.TLS
	}
	c, ok := r.Context().Value(connKey{}).(*conn)
	if !ok || c.secured == nil {
		return nil
	}
	s := c.secured.ConnectionState()
	return &s
}

var (
	statusLine = []byte("HTTP/1.1 ")
	// plainHeader is all that net/http puts into the header of its own answers. A handler's
	// have a Date at least.
	plainHeader = []byte("\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n")
	unexpected  = []byte("417 Expectation Failed\r\n")
)

// refusalOf returns what to send in place of an answer of net/http's own; nil if b is none.
// A long body is written in pieces, and one of them may begin with a text of somebody's
// choice; but no body has a bare CR LF in it, since all that clients say is sent as JSON.
func refusalOf(b []byte) []byte {
	rest, ok := bytes.CutPrefix(b, statusLine)
	if !ok || len(rest) < 4 || rest[0] != '4' && rest[0] != '5' {
		return nil
	}
	end := bytes.IndexByte(rest, '\r')
	if end < 0 {
		return nil
	}
	if bytes.HasPrefix(rest, unexpected) { // no handler says this
		return refusal417
	}
	if !bytes.HasPrefix(rest[end:], plainHeader) {
		return nil
	}
	code, reason, _ := strings.Cut(string(rest[:end]), " ")
	status, err := strconv.Atoi(code)
	if err != nil {
		return nil
	}
	text := strings.ToLower(http.StatusText(status))
	if _, detail, ok := strings.Cut(reason, ": "); ok {
		text = detail
	} else if status == http.StatusNotImplemented {
		text = "unsupported transfer encoding"
	}
	if status != http.StatusRequestHeaderFieldsTooLarge {
		status = http.StatusBadRequest
	}
	return plainRefusal(status, text)
}

var refusalPlain = plainRefusal(http.StatusBadRequest, "this node serves HTTPS: use https://")

var refusal417 = plainRefusal(http.StatusExpectationFailed, "the only expectation that is met is 100-continue")

func plainRefusal(status int, text string) []byte {
	code := "MALFORMED_REQUEST"
	if status != http.StatusBadRequest {
		code = strings.ToUpper(strings.ReplaceAll(http.StatusText(status), " ", "_"))
	}
	body, _ := memory.AppendJSON(nil, &problem{Text: text, Code: code}) // every field is plain
	b := append([]byte(nil), statusLine...)
	b = strconv.AppendInt(b, int64(status), 10)
	b = append(b, " "+http.StatusText(status)+"\r\nContent-Type: application/json\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\nContent-Length: "...)
	b = strconv.AppendInt(b, int64(len(body)), 10)
	b = append(b, "\r\n\r\n"...)
	return append(b, body...)
}

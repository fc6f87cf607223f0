package httpapi

import (
	"bytes"
	"net"
	"net/http"
	"strconv"
	"strings"

	"github.com/memd/memd/memory"
)

// Listener wraps the listener of a server without TLS. What net/http refuses before there
// is a request for a handler (a request line, a header or a framing that is none) it
// answers by itself, in plain text, with 417 without a word and with 501 and 505 for what
// is the client's fault; here that becomes the error that every other refusal is.
//
// Under TLS the bytes cannot be seen, and pass as they are.
func Listener(l net.Listener) net.Listener { return plainListener{l} }

type plainListener struct{ net.Listener }

func (l plainListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return plainConn{conn}, nil
}

type plainConn struct{ net.Conn }

// Write is called by net/http with the whole of such an answer at once.
func (c plainConn) Write(b []byte) (int, error) {
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
func (c plainConn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
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

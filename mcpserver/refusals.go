package mcpserver

import (
	"net/http"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"

	"github.com/memd/memd/memory"
)

// refusals gives the form of the protocol to what the SDK refuses before it looks for a
// method, or for want of one: that is plain text, and nothing that a client could read by
// its code.
type refusals struct {
	http.ResponseWriter
	status int // of a refusal that is held back; 0 = none
	text   strings.Builder
}

// inForm is a handler whose refusals have it.
func inForm(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		held := &refusals{ResponseWriter: w}
		h.ServeHTTP(held, r)
		held.send()
	})
}

// Unwrap is for http.ResponseController.
func (w *refusals) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *refusals) WriteHeader(status int) {
	if status >= http.StatusBadRequest && strings.HasPrefix(w.Header().Get("Content-Type"), "text/plain") {
		w.status = status
		return
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *refusals) Write(b []byte) (int, error) {
	if w.status != 0 {
		return w.text.Write(b)
	}
	return w.ResponseWriter.Write(b)
}

// The texts of the SDK that have a code of their own in JSON-RPC.
const (
	saysMalformed = "malformed payload"
	saysNoMethod  = "JSON RPC not handled"
)

func (w *refusals) send() {
	if w.status == 0 {
		return
	}
	text := strings.ToValidUTF8(strings.TrimSpace(w.text.String()), "\uFFFD")
	code := int64(jsonrpc.CodeInvalidRequest)
	switch {
	case strings.HasPrefix(text, saysMalformed):
		code = jsonrpc.CodeParseError
	case strings.HasPrefix(text, saysNoMethod):
		code = jsonrpc.CodeMethodNotFound
	}
	body, err := memory.AppendJSON(nil, refusalOf(nil, code, text))
	if err != nil { // every field is plain
		body = nil
	}
	w.Header().Set("Content-Type", "application/json")
	w.ResponseWriter.WriteHeader(w.status)
	_, _ = w.ResponseWriter.Write(body)
}

// refusal is an error of JSON-RPC.
type refusal struct {
	Version string `json:"jsonrpc"`
	ID      any    `json:"id"` // nil = not known
	Error   struct {
		Code    int64  `json:"code"`
		Message string `json:"message"`
	} `json:"error"`
}

func refusalOf(id any, code int64, text string) *refusal {
	r := &refusal{Version: "2.0", ID: id}
	r.Error.Code, r.Error.Message = code, text
	return r
}

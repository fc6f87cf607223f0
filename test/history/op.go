package history

import "net/http"

// Kind says what an Op is.
type Kind string

// Kinds of ops. Add, Update and Delete are writes.
const (
	Add    Kind = "add"
	Update Kind = "update"
	Delete Kind = "delete"
	Read   Kind = "read"
	Export Kind = "export" // everything that one node shows, once it is quiet
	Fault  Kind = "fault"  // what was done to a node
)

// Outcome is what a client may conclude from an answer.
type Outcome string

// Outcomes. A refused write never happened and never will; an unknown one may have
// happened or may still happen, on all nodes alike.
const (
	OK      Outcome = "ok"
	Refused Outcome = "refused"
	Unknown Outcome = "unknown"
	Absent  Outcome = "absent" // of a read: there is no such record
	Behind  Outcome = "behind" // of a read: the node is not where the token is (425)
)

// Faults that change what a node may be expected to remember. Others are recorded for
// people to read.
const (
	// Crash ends a process without notice. A write that it had answered because enough
	// peers had it may not have reached its own disk.
	Crash = "crash"
	// Rollback puts a disk back in time, or empties it.
	Rollback = "rollback"
)

// Op is one line of a history.
type Op struct {
	Client string `json:"client,omitempty"`
	Node   string `json:"node"`
	// Start and End are nanoseconds since the run began, by one monotonic clock. End is
	// when the answer was there, or when the client stopped waiting for one.
	Start int64 `json:"start"`
	End   int64 `json:"end"`
	Kind  Kind  `json:"kind"`

	Key   string `json:"key,omitempty"`   // what the client calls the record: namespace and title
	ID    string `json:"id,omitempty"`    // what the server calls it
	Value string `json:"value,omitempty"` // hash of what was written or shown; each write has its own
	Idem  string `json:"idem,omitempty"`  // the idempotency key of a write
	Match string `json:"match,omitempty"` // the token of If-Match: exactly these versions are replaced
	After string `json:"after,omitempty"` // the token of a read

	Outcome Outcome `json:"outcome,omitempty"`
	Status  int     `json:"status,omitempty"` // HTTP status, 0 = no answer
	Dot     string  `json:"dot,omitempty"`
	Token   string  `json:"token,omitempty"` // of the answer
	Acks    int     `json:"acks,omitempty"`
	// Local says that an unknown write is known to be durable on Node (committed: local).
	Local bool `json:"local,omitempty"`

	// Note is the name of a fault, or the text of an error.
	Note string `json:"note,omitempty"`
	// Proof says how it was seen that the fault really happened.
	Proof string `json:"proof,omitempty"`

	Digest string `json:"digest,omitempty"` // of an export: of clock and view, by the node's own word
	Rows   []Row  `json:"rows,omitempty"`   // of an export
}

// Row is one record of an export.
type Row struct {
	ID    string `json:"id"`
	Key   string `json:"key"`
	Value string `json:"value"`
	Token string `json:"token"`
	// Body is a hash of the whole record in canonical form, without what is local to a
	// node: access statistics and token.
	Body string `json:"body"`
}

func (o *Op) write() bool { return o.Kind == Add || o.Kind == Update || o.Kind == Delete }

// OutcomeOfWrite reads the answer to a write. committed is the member of that name of a
// 503: "local", "unknown", or "false" if it was the literal false.
func OutcomeOfWrite(status int, committed string) Outcome {
	switch {
	case status >= 200 && status < 300:
		return OK
	case status >= 400 && status < 500, status == http.StatusServiceUnavailable && committed == "false":
		return Refused
	}
	return Unknown
}

// OutcomeOfRead reads the answer to a read.
func OutcomeOfRead(status int) Outcome {
	switch status {
	case http.StatusOK:
		return OK
	case http.StatusNotFound:
		return Absent
	case http.StatusTooEarly:
		return Behind
	}
	return Unknown
}

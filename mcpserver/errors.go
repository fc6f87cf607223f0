package mcpserver

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/memd/memd/memory"
)

// advise is the one place where errors become what an agent reads: what is wrong, and
// what to do about it. known is false for a fault of the server's own, whose detail goes
// to the log only.
func advise(err error) (text string, known bool) {
	var (
		field     *memory.FieldError
		clash     *memory.ConflictError
		ambiguous *memory.AmbiguousError
		quorum    *memory.QuorumError
	)
	switch {
	case errors.Is(err, ErrNotHere):
		return sentence(err) + "Use another tool, or ask a node that serves it.", true
	case errors.Is(err, memory.ErrNoIndex):
		return sentence(err) + "memory_list and memory_get work here.", true
	case errors.As(err, &field):
		return inArguments(sentence(field) + "Correct " + field.Field + " and call again."), true
	case errors.As(err, &clash):
		return conflict(clash), true
	case errors.As(err, &ambiguous):
		shown := memory.AmbiguousError{Prefix: plain(ambiguous.Prefix)}
		for _, id := range ambiguous.IDs { // a writer's own, perhaps
			shown.IDs = append(shown.IDs, plain(id))
		}
		return sentence(&shown) + "Call again with one of these ids in full.", true
	case errors.Is(err, memory.ErrAmbiguous):
		return sentence(err) + "Call again with the id in full.", true
	case errors.Is(err, memory.ErrNotFound):
		return "No memory has this id: it was deleted, has expired, or has not reached this node yet. " +
			"Look for it with memory_search or memory_list; if another node's answer named it, pass that answer's token as after.", true
	case errors.Is(err, memory.ErrConflict):
		return sentence(err) + "Choose another title, or update the memory that has it.", true
	case errors.Is(err, memory.ErrMismatch):
		return "The memory has changed since the version that if_match names. Read it with memory_get, and decide again with its new token.", true
	case errors.Is(err, memory.ErrBehind):
		return "This node has not yet received the writes that the token names. Call again in a second, or without it if an older answer will do.", true
	case errors.As(err, &quorum):
		return missed(quorum), true
	case errors.Is(err, memory.ErrForbidden):
		return "This is forbidden for the key in use. Ask the operator of the node.", true
	case errors.Is(err, memory.ErrTooLarge):
		return "This is too large. Send less: content has at most 65536 bytes; split longer texts into several memories.", true
	case errors.Is(err, memory.ErrNoSpace):
		return "The node has no space left on its disk and takes no writes. Nothing was stored. Tell the operator, or use another node.", true
	case errors.Is(err, memory.ErrStopped):
		return "The node is stopping. Call again in a few seconds, or use another node.", true
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return "The call was given up before it was done. Call again, a write with the same idempotency_key.", true
	case errors.Is(err, memory.ErrUnavailable):
		return sentence(err) + "Call again in a second.", true
	case errors.Is(err, memory.ErrInvalid):
		return sentence(err) + "Correct the arguments and call again.", true
	}
	return "Internal error; the node's log says more. Call again, a write with the same idempotency_key.", false
}

// inArguments names what a request may carry as an agent gives it.
func inArguments(s string) string {
	return strings.NewReplacer("Idempotency-Key", "idempotency_key", "If-Match", "if_match").Replace(s)
}

// sentence is an error's text as the first sentence of a longer one.
func sentence(err error) string { return strings.TrimRight(err.Error(), ". ") + ". " }

func conflict(e *memory.ConflictError) string {
	text := sentence(e)
	if e.ExistingID == "" {
		return text + "Choose another title."
	}
	return text + fmt.Sprintf("Its id is %s: change it with memory_update, or store with on_conflict merge or version, or under another title.", e.ExistingID)
}

func missed(q *memory.QuorumError) string {
	who := fmt.Sprintf("%d of the %d members that must have the write have confirmed it in time. ", q.Got, q.Needed)
	switch q.Committed {
	case memory.CommittedFalse:
		return "Only " + who + "Nothing was written. Call again in a few seconds, or use another node."
	case memory.CommittedLocal:
		return "Only " + who + "The write stands on this node and will spread by itself. To wait for it, repeat the call with the same arguments and idempotency_key; do not store it under another title." + withID(q)
	}
	return "Only " + who + "It is not known whether the write stands. Repeat the call with the same arguments and idempotency_key: it will not be done twice." + withID(q)
}

func withID(q *memory.QuorumError) string {
	if q.ID == "" {
		return ""
	}
	return " Its id is " + q.ID + "."
}

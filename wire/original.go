package wire

import (
	"encoding/json"
	"io"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/memd/memd/memory"
)

// Limits of the original's bodies.
const (
	MaxSyncBody  = 2 << 20 // bytes of a SyncPush
	MaxSyncItems = 1000    // items of each of its lists

	DefaultSyncLimit = 500   // rows of an UpdatedSince answer if no limit is given
	MaxSyncLimit     = 10000 // to which a greater one is clamped
)

// SyncPush is the JSON body that clients of the original service POST to PathPush:
// writes of that sender, each of which gets a dot of the receiver. SenderAgentID and
// Memories must be there.
//
// The items of Memories and Pendings stay raw: one that is no valid record is skipped
// and counted, the others are taken.
type SyncPush struct {
	SenderAgentID       string              `json:"sender_agent_id"`
	SenderClock         SyncClock           `json:"sender_clock"`
	Memories            []json.RawMessage   `json:"memories"`
	Deletions           []string            `json:"deletions,omitempty"`
	Archives            []string            `json:"archives,omitempty"`
	Restores            []string            `json:"restores,omitempty"`
	Links               []SyncLink          `json:"links,omitempty"`
	Pendings            []json.RawMessage   `json:"pendings,omitempty"`
	PendingDecisions    []SyncDecision      `json:"pending_decisions,omitempty"`
	NamespaceMeta       []SyncNamespaceMeta `json:"namespace_meta,omitempty"`
	NamespaceMetaClears []string            `json:"namespace_meta_clears,omitempty"`
	DryRun              bool                `json:"dry_run,omitempty"`
}

// SyncClock is the original's clock: per peer the greatest updated_at seen. It is
// answered for form's sake and never used.
type SyncClock struct {
	Entries map[string]string `json:"entries"`
}

// SyncLink is one link of a SyncPush.
type SyncLink struct {
	SourceID   string          `json:"source_id"`
	TargetID   string          `json:"target_id"`
	Relation   string          `json:"relation"`
	CreatedAt  string          `json:"created_at"`
	Signature  json.RawMessage `json:"signature,omitempty"` // an array of 64 numbers
	ObservedBy *string         `json:"observed_by,omitempty"`
	ValidFrom  *string         `json:"valid_from,omitempty"`
	ValidUntil *string         `json:"valid_until,omitempty"`
}

// SyncDecision is one decision over a pending action.
type SyncDecision struct {
	ID       string `json:"id"`
	Approved bool   `json:"approved"`
	Decider  string `json:"decider"`
}

// SyncNamespaceMeta is the standard of one namespace.
type SyncNamespaceMeta struct {
	Namespace       string  `json:"namespace"`
	StandardID      string  `json:"standard_id"`
	ParentNamespace *string `json:"parent_namespace,omitempty"`
	UpdatedAt       string  `json:"updated_at"`
}

// SyncPushReply answers a SyncPush with 200, whatever became of single items.
type SyncPushReply struct {
	Applied                 int       `json:"applied"`
	Deleted                 int       `json:"deleted"`
	Archived                int       `json:"archived"`
	Restored                int       `json:"restored"`
	LinksApplied            int       `json:"links_applied"`
	PendingsApplied         int       `json:"pendings_applied"`
	PendingDecisionsApplied int       `json:"pending_decisions_applied"`
	NamespaceMetaApplied    int       `json:"namespace_meta_applied"`
	NamespaceMetaCleared    int       `json:"namespace_meta_cleared"`
	Noop                    int       `json:"noop"`
	Skipped                 int       `json:"skipped"`
	DryRun                  bool      `json:"dry_run"`
	ReceiverAgentID         string    `json:"receiver_agent_id"`
	ReceiverClock           SyncClock `json:"receiver_clock"`
	// Errors says per item why it was skipped; the original kept that to itself.
	Errors []SyncItemError `json:"errors,omitempty"`
}

// SyncItemError is one skipped item.
type SyncItemError struct {
	List  string `json:"list"`
	Index int    `json:"index"`
	ID    string `json:"id,omitempty"`
	Error string `json:"error"`
}

// ReadSyncPush reads and checks a body. Errors are a [*memory.FieldError] or a
// [*StatusError] with 400 or 413.
func ReadSyncPush(r io.Reader) (*SyncPush, error) {
	body, err := readBody(r, MaxSyncBody)
	if err != nil {
		return nil, err
	}
	return ParseSyncPush(body)
}

// ParseSyncPush reads and checks a body of at most MaxSyncBody bytes.
func ParseSyncPush(body []byte) (*SyncPush, error) {
	if len(body) > MaxSyncBody {
		return nil, errBodyTooLarge
	}
	p := new(SyncPush)
	if err := memory.ParseJSON(body, p); err != nil {
		return nil, err
	}
	if p.SenderAgentID == "" || len(p.SenderAgentID) > MaxName {
		return nil, fieldError("sender_agent_id", "must be given, with at most %d bytes", MaxName)
	}
	if p.Memories == nil {
		return nil, fieldError("memories", "must be given")
	}
	for _, list := range []struct {
		name string
		n    int
	}{
		{"memories", len(p.Memories)},
		{"deletions", len(p.Deletions)},
		{"archives", len(p.Archives)},
		{"restores", len(p.Restores)},
		{"links", len(p.Links)},
		{"pendings", len(p.Pendings)},
		{"pending_decisions", len(p.PendingDecisions)},
		{"namespace_meta", len(p.NamespaceMeta)},
		{"namespace_meta_clears", len(p.NamespaceMetaClears)},
	} {
		if list.n > MaxSyncItems {
			return nil, fieldError(list.name, "must have at most %d items", MaxSyncItems)
		}
	}
	return p, nil
}

// UpdatedSince is the RFC 3339 form of PathSince: live memories whose updated_at is
// later than Since and which this node got after After, in the order in which it got
// them.
type UpdatedSince struct {
	Since time.Time // zero = from the start
	After uint64    // number in the order of arrival; 0 = from the start
	Text  string    // both, as the client wrote them
	Limit int
	Peer  string // as claimed by the caller
}

// NextSince is the value of since that asks for what arrived behind a page. Times alone
// cannot tell where a page ended: rows share a time, and old ones arrive late. Clients
// hand it back as it is.
func (r UpdatedSince) NextSince(after uint64) string {
	at := ""
	if !r.Since.IsZero() {
		at = r.Since.UTC().Format(time.RFC3339Nano)
	}
	return at + "@" + strconv.FormatUint(after, 10)
}

// ParseUpdatedSince reads the query: since is an RFC 3339 time, or what NextSince
// returned. Errors are a [*memory.FieldError].
func ParseUpdatedSince(v url.Values) (UpdatedSince, error) {
	p := params{values: v}
	r := UpdatedSince{Text: p.get("since"), Peer: p.get("peer"), Limit: DefaultSyncLimit}
	at, after, paged := strings.Cut(r.Text, "@")
	if paged {
		n, err := strconv.ParseUint(after, 10, 64)
		if err != nil {
			p.fail("since", "must be an RFC 3339 time or a next_since")
		}
		r.After = n
	}
	if at != "" {
		// A plus sign that the client did not escape arrives as a space.
		t, err := time.Parse(time.RFC3339Nano, strings.Replace(at, " ", "+", 1))
		if err != nil {
			p.fail("since", "must be an RFC 3339 time")
		}
		r.Since = t
	}
	if len(r.Peer) > MaxName {
		p.fail("peer", "must be at most %d bytes", MaxName)
	}
	if s := p.get("limit"); s != "" {
		n, err := strconv.ParseUint(s, 10, 31)
		if err != nil {
			p.fail("limit", "must be a number that is not negative")
		}
		if n > 0 {
			r.Limit = int(min(n, MaxSyncLimit))
		}
	}
	if p.err != nil {
		return UpdatedSince{}, p.err
	}
	return r, nil
}

// UpdatedSinceReply answers an UpdatedSince.
type UpdatedSinceReply struct {
	Count             int               `json:"count"`
	Limit             int               `json:"limit"`
	UpdatedSince      *string           `json:"updated_since"`
	EarliestUpdatedAt *string           `json:"earliest_updated_at"`
	LatestUpdatedAt   *string           `json:"latest_updated_at"`
	Memories          []json.RawMessage `json:"memories"`
	// NextSince asks for what follows this page; absent if nothing does.
	NextSince *string `json:"next_since,omitempty"`
}

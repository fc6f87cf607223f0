package httpapi

import (
	"context"

	"github.com/memd/memd/clock"
	"github.com/memd/memd/memory"
	"github.com/memd/memd/wire"
)

// WriteOptions is what the door has read beside the body of a changing request. Every
// value has been checked for its form.
type WriteOptions struct {
	// Agent is the header X-Agent-Id or, without one, an id made up for this request
	// ("anonymous:req-<8 hex>", or with a named key "key:<name>"). An agent_id in the body
	// goes before it. Never empty.
	Agent string
	// Anonymous is set when Agent was made up. It is made of the body, so that the same
	// request said again, here or at another node, comes from the same agent and is
	// recognised as a retry (contract 8.3).
	Anonymous bool
	// IdempotencyKey has 1 to 256 printable ASCII characters; empty = none given.
	IdempotencyKey string
	// W is the number of names that must have the write, this node included; 0 = the
	// default. One above N is a *memory.FieldError of "w".
	W int
	// Match is the token of If-Match: exactly these dots are to be superseded. nil = all
	// that this node holds. Only Update and Delete.
	Match *clock.Clock
}

// ReadOptions goes with a read.
type ReadOptions struct {
	// After is a token that the node's clock must cover before it answers; nil = none. A
	// node that cannot get there in time returns *memory.BehindError.
	After *clock.Clock
	// Conflicts asks for the live siblings that the view does not show. Only Get.
	Conflicts bool
}

// Memories are the changing verbs. Each returns when W names have the write durably, or
// an error: *memory.QuorumError, ErrUnavailable, ErrNoSpace or ErrStopped of memory beside
// those that a method names. Contexts end when the client has gone or Config.Timeout passed.
type Memories interface {
	// Create stores a memory. Errors: *memory.FieldError, *memory.ConflictError.
	Create(context.Context, memory.Draft, WriteOptions) (Created, error)
	// CreateAll stores each draft on its own and reports those that failed in Bulk.Errors;
	// an error means that none was looked at.
	CreateAll(context.Context, []memory.Draft, WriteOptions) (Bulk, error)
	// Update changes the memory whose id, or a unique prefix of it, is given. Errors:
	// *memory.FieldError, ErrNotFound, ErrAmbiguous, ErrMismatch, *memory.ConflictError.
	Update(ctx context.Context, id string, p memory.Patch, opt WriteOptions) (Updated, error)
	// Delete removes it. Errors: ErrNotFound, ErrAmbiguous, ErrMismatch.
	Delete(ctx context.Context, id string, opt WriteOptions) (Deleted, error)
}

// Created is the answer to a create.
type Created struct {
	ID, Tier, Namespace, Title, Agent string

	Dot   clock.Dot
	Token clock.Clock // covers the write
	Acks  int         // distinct names that had it durably when the answer was decided
	// Existing is set when nothing new was written: a retry that waited on its first try,
	// or a merge into a memory that was there. The status is 201 all the same.
	Existing bool
	// Rivals are memories with the title that was asked for when another one was made of it,
	// some at most: they may say something else. Nothing judges contents.
	Rivals []string
}

// Bulk is the answer to a bulk create.
type Bulk struct {
	Created int
	IDs     []string // of the created ones, in the order of the drafts
	Errors  []string // "<title or id>: <text>", in the order of the drafts
	Token   clock.Clock
	Acks    int // the least of all rows
}

// Rendered is one memory as a reader sees it.
type Rendered struct {
	// Body is the record as memory.AppendView renders it, with Token and the number of
	// conflicts in it.
	// Invariant: a JSON object with at least one member (the door adds some behind it).
	Body []byte
	// Token names the versions that Body was chosen from, or the write that made it: for
	// If-Match and after=.
	Token clock.Clock
	// Siblings are the live versions with another content than the one shown, if they were
	// asked for.
	Siblings []Sibling
	// Ambiguous are other live ids with the same title in the same namespace.
	Ambiguous []string
	// Links in both directions. Only of Get.
	Links []memory.Link
}

// Sibling is a version that lost the view, but was not superseded.
type Sibling struct {
	Dot  clock.Dot
	Body []byte // as in Rendered
}

// Updated is the answer to an update.
type Updated struct {
	Rendered // Token covers the write

	ID   string // in full, if a prefix was given
	Dot  clock.Dot
	Acks int
}

// Deleted is the answer to a delete.
type Deleted struct {
	ID    string // in full, if a prefix was given
	Dot   clock.Dot
	Token clock.Clock
	Acks  int
}

// Reader are the reading verbs. All of them return *memory.BehindError for a token out
// of reach.
type Reader interface {
	// Get returns one live memory by its id or a unique prefix. Errors: ErrNotFound,
	// ErrAmbiguous.
	Get(ctx context.Context, id string, opt ReadOptions) (Rendered, error)
	// List returns a page, in the order of the contract. Filter.Limit is 1..1000.
	List(context.Context, memory.Filter, ReadOptions) ([]Rendered, error)
	Stats(context.Context, ReadOptions) (Stats, error)
	// WriteStatus says who has a write. ErrNotFound if this node never heard of it.
	WriteStatus(context.Context, clock.Dot) (WriteStatus, error)
}

// Gate sees every request before its verb, so that a pause is noticed by the first
// request after it and not by the next tick (replication.md B9).
type Gate interface {
	// Beat checks for a pause and returns at once. Called at the start of every write and
	// of every call of a peer.
	Beat()
	// Admit does the same for a read and applies the policy after a pause (B12): it holds
	// the read until one peer's clock was compared, lets it pass marked as stale, or
	// refuses it with ErrUnavailable.
	Admit(context.Context) (stale bool, err error)
}

// Syncer is what other nodes call.
type Syncer interface {
	// Since answers a pull. Errors: those of wire (ErrScope, ErrBusy, ErrUnavailable,
	// ErrCluster, ErrReconcile; a *wire.StatusError says more).
	Since(context.Context, wire.SinceRequest) (Delta, error)
	// Greet opens a push: the ack tells the caller what is durable here. An error refuses
	// the stream; it is answered before the upgrade.
	Greet(context.Context, wire.Hello) (wire.Ack, error)
	// Push hands over one batch of the peer and returns without waiting for the disk, but
	// may wait for room in the apply queue. done is called exactly once, from any
	// goroutine, before or after Push returned, and does not block. The ack's Seq is set by
	// the door.
	Push(ctx context.Context, from wire.Hello, b *wire.PushBatch, done func(wire.Ack))
	// Nudge is the peer's word that it has something. It does not block.
	Nudge(from wire.Hello, n wire.Nudge)
}

// Delta is the answer to a pull.
type Delta struct {
	// Page is nil if the cursor lacks nothing that this node has.
	Page *wire.Page
	// ClockHash of this node's durable clock; only looked at without a Page.
	ClockHash uint64
}

// Original is what clients of the original service call on the sync paths: the same
// verbs in JSON.
type Original interface {
	// UpdatedSince returns a page in the order of arrival. It may end before the limit, by
	// bytes; NextSince then says how to go on.
	UpdatedSince(context.Context, wire.UpdatedSince) (*wire.UpdatedSinceReply, error)
	// ImportPush takes the writes of a sender, each with a dot of this node. An item that
	// cannot be taken is counted in the reply; an error means that none was looked at.
	ImportPush(context.Context, *wire.SyncPush, WriteOptions) (*wire.SyncPushReply, error)
}

// Observer says how the node is. Ready, Federated and EmbedderReady are called by probes and
// touch no disk.
type Observer interface {
	// Ready reports whether reads are served from a caught-up state and writes taken;
	// reasons say what is missing, in words for people.
	Ready() (ok bool, reasons []string)
	Cluster(context.Context) (ClusterStatus, error)
	Federated() bool // has, or expects, other members
	// EmbedderReady reports whether recalls are answered by meaning, too, just now.
	EmbedderReady() bool
	Version() string
}

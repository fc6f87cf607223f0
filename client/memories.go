package client

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/memd/memd/memory"
)

// Memory is one memory as a reader sees it.
type Memory struct {
	ID             string     `json:"id"`
	Tier           string     `json:"tier"`
	Namespace      string     `json:"namespace"`
	Title          string     `json:"title"`
	Content        string     `json:"content"`
	Tags           []string   `json:"tags"`
	Priority       int        `json:"priority"`
	Confidence     float64    `json:"confidence"`
	Source         string     `json:"source"`
	AccessCount    int64      `json:"access_count"` // at the node that answered
	CreatedAt      time.Time  `json:"created_at"`
	UpdatedAt      time.Time  `json:"updated_at"`
	LastAccessedAt *time.Time `json:"last_accessed_at,omitzero"`
	ExpiresAt      *time.Time `json:"expires_at,omitzero"`
	Metadata       memory.Raw `json:"metadata"` // an object

	// Token names the versions that this was chosen from: for WriteOptions.Match and
	// ReadOptions.After.
	Token string `json:"token,omitzero"`
	// Conflicts counts other contents that were written at the same time.
	Conflicts int `json:"conflicts,omitzero"`
	// Stale is set when the node could not compare itself with a peer before it answered.
	Stale bool `json:"-"`
}

// Draft is what to store. Title and Content are required; the zero value of another field
// leaves it to the server's default.
type Draft struct {
	Title      string     `json:"title"`
	Content    string     `json:"content"`
	Tier       string     `json:"tier,omitzero"`
	Namespace  string     `json:"namespace,omitzero"`
	Tags       []string   `json:"tags,omitzero"`
	Priority   int        `json:"priority,omitzero"`
	Confidence *float64   `json:"confidence,omitzero"`
	Source     string     `json:"source,omitzero"`
	TTLSecs    int64      `json:"ttl_secs,omitzero"`
	ExpiresAt  *time.Time `json:"expires_at,omitzero"`
	AgentID    string     `json:"agent_id,omitzero"`
	Scope      string     `json:"scope,omitzero"`
	OnConflict string     `json:"on_conflict,omitzero"` // memory.OnConflictError (default), …Merge, …Version
	Metadata   memory.Raw `json:"metadata,omitzero"`    // an object
}

// Patch is what to change: nil leaves a field alone.
type Patch struct {
	Title       *string    `json:"title,omitzero"`
	Content     *string    `json:"content,omitzero"`
	Tier        *string    `json:"tier,omitzero"` // never goes down
	Namespace   *string    `json:"namespace,omitzero"`
	Tags        []string   `json:"tags,omitzero"` // empty, not nil = none
	Priority    *int       `json:"priority,omitzero"`
	Confidence  *float64   `json:"confidence,omitzero"`
	ExpiresAt   *time.Time `json:"expires_at,omitzero"`
	ClearExpiry bool       `json:"-"` // instead of ExpiresAt
	Metadata    memory.Raw `json:"metadata,omitzero"`
}

// WriteOptions go with a changing verb.
type WriteOptions struct {
	// IdempotencyKey makes a repeated call the same write. "" = one made up for this call,
	// so that what is tried at a second server is still one write.
	IdempotencyKey string
	// W is how many members must have the write; 0 = the cluster's default.
	W int
	// Agent is who writes; "" = Config.Agent.
	Agent string
	// Match is the Token of what the writer had read: only that is to be replaced. Only
	// Update and Delete.
	Match string
}

// ReadOptions go with a reading verb.
type ReadOptions struct {
	// Conflicts asks for the versions that lost. Only Get.
	Conflicts bool
	// After is a Token that the node must have seen before it answers; "" = none. A node
	// that cannot get there in time is a *BehindError.
	After string
}

// Written is what every write's answer carries.
type Written struct {
	Dot   string `json:"dot"`   // "<origin>:<counter>", for WriteStatus
	Acks  int    `json:"acks"`  // members that had it durably when the answer was decided
	Token string `json:"token"` // covers the write
}

// Stored is the answer to Store.
type Stored struct {
	ID        string `json:"id"`
	Tier      string `json:"tier"`
	Namespace string `json:"namespace"`
	Title     string `json:"title"`
	AgentID   string `json:"agent_id"`
	// Existing is set when nothing new was written: the call repeated one that had been
	// done, or was merged.
	Existing bool `json:"existing"`
	Written
}

// Updated is the answer to Update: the memory as it is now; its Token covers the write.
type Updated struct {
	Memory
	Dot  string `json:"dot"`
	Acks int    `json:"acks"`
}

// Deleted is the answer to Delete.
type Deleted struct {
	ID string `json:"id"` // in full
	Written
}

const pathMemories = "/api/v1/memories"

// Store stores one memory and returns when a quorum has it durably. Errors:
// *memory.FieldError, *memory.ConflictError (the title is taken), *memory.QuorumError (the
// write may stand), memory.ErrUnavailable, memory.ErrNoSpace, memory.ErrStopped.
func (c *Client) Store(ctx context.Context, d Draft, opt WriteOptions) (*Stored, error) {
	r, err := c.write(http.MethodPost, pathMemories, d, opt)
	if err != nil {
		return nil, err
	}
	return call[Stored](ctx, c, r)
}

// Update changes the memory whose id, or a unique prefix of it, is given. Errors as Store,
// and memory.ErrNotFound, *memory.AmbiguousError, memory.ErrMismatch.
func (c *Client) Update(ctx context.Context, id string, p Patch, opt WriteOptions) (*Updated, error) {
	var body any = p
	if p.ClearExpiry {
		body = struct {
			Patch
			ExpiresAt memory.Raw `json:"expires_at"` // nil is null
		}{Patch: p}
	}
	r, err := c.write(http.MethodPut, pathMemory(id), body, opt)
	if err != nil {
		return nil, err
	}
	return call[Updated](ctx, c, r)
}

// Delete removes it. Errors as Update.
func (c *Client) Delete(ctx context.Context, id string, opt WriteOptions) (*Deleted, error) {
	r, err := c.write(http.MethodDelete, pathMemory(id), nil, opt)
	if err != nil {
		return nil, err
	}
	return call[Deleted](ctx, c, r)
}

// Full is a memory with what surrounds it.
type Full struct {
	Memory
	// Siblings are the other contents that were written at the same time, if they were
	// asked for.
	Siblings []Memory `json:"siblings,omitzero"`
	// Ambiguous are other ids with the same title in the same namespace.
	Ambiguous []string `json:"ambiguous,omitzero"`
	// Links in both directions.
	Links []Link `json:"links"`
}

// Get returns one memory by its id or a unique prefix of it. Errors: memory.ErrNotFound,
// *memory.AmbiguousError, *BehindError, memory.ErrUnavailable.
func (c *Client) Get(ctx context.Context, id string, opt ReadOptions) (*Full, error) {
	q := opt.values()
	if opt.Conflicts {
		q.Set("conflicts", "1")
	}
	res, err := c.do(ctx, request{method: http.MethodGet, path: pathMemory(id), query: q})
	if err != nil {
		return nil, err
	}
	said, err := decode[struct {
		Memory   *Memory `json:"memory"`
		Siblings []struct {
			Memory Memory `json:"memory"`
		} `json:"siblings"`
		Ambiguous []string `json:"ambiguous"`
		Links     []Link   `json:"links"`
	}](res)
	if err != nil {
		return nil, err
	}
	if said.Memory == nil {
		return nil, errAnswer
	}
	out := &Full{Memory: *said.Memory, Ambiguous: said.Ambiguous, Links: said.Links}
	for _, s := range said.Siblings {
		out.Siblings = append(out.Siblings, s.Memory)
	}
	out.Stale = stale(res)
	return out, nil
}

// List returns a page, by priority and then the latest change first. A Limit of 0 is the
// server's default.
func (c *Client) List(ctx context.Context, f memory.Filter, opt ReadOptions) ([]Memory, error) {
	q := opt.values()
	setFilter(q, f)
	res, err := c.do(ctx, request{method: http.MethodGet, path: pathMemories, query: q})
	if err != nil {
		return nil, err
	}
	out, err := decode[struct {
		Memories []Memory `json:"memories"`
	}](res)
	if err != nil {
		return nil, err
	}
	if stale(res) {
		for i := range out.Memories {
			out.Memories[i].Stale = true
		}
	}
	return out.Memories, nil
}

func pathMemory(id string) string { return pathMemories + "/" + url.PathEscape(id) }

func stale(r reply) bool { return r.header.Get("Memd-Stale") != "" }

func (o ReadOptions) values() url.Values {
	q := url.Values{}
	if o.After != "" {
		q.Set("after", o.After)
	}
	return q
}

// write is a changing request, with body as JSON unless it is nil.
func (c *Client) write(method, path string, body any, opt WriteOptions) (request, error) {
	r := request{method: method, path: path, query: url.Values{}, header: http.Header{}}
	if body != nil {
		var err error
		if r.body, err = memory.AppendJSON(nil, body); err != nil {
			// The encoder's words are of its types, and may quote what it was given.
			return r, fmt.Errorf("%w: text must be UTF-8, and metadata JSON without duplicate keys", memory.ErrInvalid)
		}
	}
	if opt.IdempotencyKey == "" {
		var b [16]byte
		rand.Read(b[:]) // never fails
		opt.IdempotencyKey = hex.EncodeToString(b[:])
	}
	if opt.Agent == "" {
		opt.Agent = c.agent
	}
	r.header.Set("Idempotency-Key", opt.IdempotencyKey)
	if opt.Agent != "" {
		r.header.Set("X-Agent-Id", opt.Agent)
	}
	if opt.Match != "" {
		r.header.Set("If-Match", `"`+opt.Match+`"`)
	}
	if opt.W != 0 {
		r.query.Set("w", strconv.Itoa(opt.W))
	}
	return r, nil
}

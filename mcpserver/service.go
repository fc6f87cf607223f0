package mcpserver

import (
	"context"
	"errors"
	"time"

	"github.com/memd/memd/memory"
)

// Service is what the tools stand on. Errors are the kinds of package memory.
type Service interface {
	Writer
	Reader
	Keeper
	Observer
}

// Writer are the changing verbs of the default tools. Each returns when a quorum has the
// write durably.
type Writer interface {
	Store(context.Context, memory.Draft, WriteOptions) (Stored, error)
	Update(ctx context.Context, id string, p memory.Patch, opt WriteOptions) (Memory, error)
	Delete(ctx context.Context, id string, opt WriteOptions) (Deleted, error)
	Link(context.Context, Link, WriteOptions) (Linked, error)
}

// Reader are the reading verbs.
type Reader interface {
	Get(ctx context.Context, id string, opt ReadOptions) (Full, error)
	List(context.Context, memory.Filter, ReadOptions) (Page, error)
	Recall(context.Context, Query, ReadOptions) (Page, error)
	Search(context.Context, Query, ReadOptions) (Page, error)
}

// Keeper are the verbs that keep house, for agents that are given all tools.
type Keeper interface {
	Promote(ctx context.Context, id string, opt WriteOptions) (Memory, error)
	PromoteTo(ctx context.Context, id, namespace string, opt WriteOptions) (Ascended, error)
	Forget(context.Context, Forget, WriteOptions) (Forgotten, error)
	Links(ctx context.Context, id string, opt ReadOptions) ([]Link, error)
	Consolidate(context.Context, Consolidation, WriteOptions) (Consolidated, error)
}

// Ascended is the answer to PromoteTo: a copy in a namespace above.
type Ascended struct{ SourceID, CloneID, Token string }

// Observer says how the node is. Each returns the JSON object that the HTTP door answers.
type Observer interface {
	SessionStart(ctx context.Context, namespace string, limit int, opt ReadOptions) (Page, error)
	Stats(context.Context, ReadOptions) (memory.Raw, error)
	// Capabilities is the document of one of the schemas 1 to 3.
	Capabilities(ctx context.Context, schema int) (memory.Raw, error)
	Status(context.Context) (memory.Raw, error)
}

// ErrNotHere is a verb that this node does not serve.
var ErrNotHere = errors.New("not available on this node")

// WriteOptions go with a changing verb.
type WriteOptions struct {
	// Agent is who writes; an agent_id of the draft goes before it. Never empty.
	Agent string
	// Anonymous is set when Agent was made up from the arguments.
	Anonymous bool
	// IdempotencyKey makes a repeated call the same write; "" = none given.
	IdempotencyKey string
	// Match is the token of the versions to be replaced; "" = what the node holds.
	Match string
	// After is a token that the node must have reached before it looks; "" = none.
	After string
}

// ReadOptions go with a reading verb.
type ReadOptions struct {
	After string // as in WriteOptions
	// Conflicts asks for the versions that lost. Only Get.
	Conflicts bool
}

// Memory is one memory as an agent sees it.
type Memory struct {
	ID             string     `json:"id"`
	Title          string     `json:"title"`
	Content        string     `json:"content"`
	Namespace      string     `json:"namespace"`
	Tier           string     `json:"tier"`
	Tags           []string   `json:"tags"`
	Priority       int        `json:"priority"`
	Confidence     float64    `json:"confidence"`
	Source         string     `json:"source"`
	AgentID        string     `json:"agent_id,omitzero"` // of the metadata: who wrote it
	AccessCount    int64      `json:"access_count"`
	CreatedAt      string     `json:"created_at"`
	UpdatedAt      string     `json:"updated_at"`
	LastAccessedAt string     `json:"last_accessed_at,omitzero"`
	ExpiresAt      string     `json:"expires_at,omitzero"`
	Metadata       memory.Raw `json:"metadata,omitzero"`

	Score     float64 `json:"score,omitzero"`
	Conflicts int     `json:"conflicts,omitzero"` // other contents written at the same time
	Token     string  `json:"token,omitzero"`     // names the version shown
	Clipped   bool    `json:"clipped,omitzero"`   // content is only its beginning
}

// ParseMemory reads a memory from the JSON that the HTTP door shows.
func ParseMemory(body []byte) (Memory, error) {
	var m Memory
	if err := memory.ParseJSON(body, &m); err != nil {
		return m, err
	}
	m.Settle()
	return m, nil
}

// Settle fills what is derived from the rest. A service that does not use ParseMemory
// calls it.
func (m *Memory) Settle() {
	if m.Tags == nil {
		m.Tags = []string{} // null is not in the schema
	}
	if who := saysAgent(m.Metadata); who != nil && m.AgentID == "" {
		m.AgentID = *who
	}
}

// oneOfMany is a memory in an answer with several: what an agent needs to judge it. The
// rest is a memory_get away.
type oneOfMany struct {
	ID        string   `json:"id"`
	Title     string   `json:"title"`
	Content   string   `json:"content"`
	Namespace string   `json:"namespace"`
	Tier      string   `json:"tier"`
	Tags      []string `json:"tags"`
	AgentID   string   `json:"agent_id,omitzero"`
	UpdatedAt string   `json:"updated_at"`
	Score     float64  `json:"score,omitzero"`
	Conflicts int      `json:"conflicts,omitzero"`
	Token     string   `json:"token,omitzero"`
	Clipped   bool     `json:"clipped,omitzero"`
}

func (p *Page) rows() []oneOfMany {
	out := make([]oneOfMany, len(p.Memories))
	for i := range p.Memories {
		m := &p.Memories[i]
		out[i] = oneOfMany{
			ID: m.ID, Title: m.Title, Content: m.Content, Namespace: m.Namespace, Tier: m.Tier, Tags: m.Tags, AgentID: m.AgentID,
			UpdatedAt: m.UpdatedAt, Score: m.Score, Conflicts: m.Conflicts, Token: m.Token, Clipped: m.Clipped,
		}
	}
	return out
}

// Full is a memory with what surrounds it.
type Full struct {
	Memory
	Links    []Link   `json:"links"`
	Siblings []Memory `json:"siblings,omitzero"` // versions that lost, if asked for
	Stale    bool     `json:"stale,omitzero"`    // see Page
}

// Page is an ordered list of memories.
type Page struct {
	Memories []Memory
	// Mode says how a recall was ranked: "keyword", "hybrid".
	Mode string
	// TokensUsed is what the contents cost, about; Dropped are the hits that did not fit
	// into the budget.
	TokensUsed, Dropped int
	// Token covers what the page was read from; "" if the service does not say.
	Token string
	// Stale is set when the node could not compare itself with a peer before it answered,
	// Behind when its index for recall had not reached what was stored before.
	Stale, Behind bool
	// Standards are what applies in the namespace, the most general first. Only of
	// SessionStart, and none of them is among the memories.
	Standards []Standard
}

// Standard is how things are done in a namespace.
type Standard struct {
	Namespace string `json:"namespace"`
	ID        string `json:"standard_id"` // of the memory that says it
	Title     string `json:"title"`
	Content   string `json:"content"`
	Clipped   bool   `json:"clipped,omitzero"` // content is only its beginning
}

// Query is what to look for.
type Query struct {
	Text      string
	Namespace string
	Tier      string
	Tag       string
	AgentID   string // who wrote it
	AsAgent   string // a namespace: what it may see
	Since     time.Time
	Until     time.Time
	Limit     int  // exact
	Budget    *int // tokens of content, about; nil = no budget
}

// Stored is the answer to Store.
type Stored struct {
	ID        string `json:"id"`
	Title     string `json:"title"`
	Namespace string `json:"namespace"`
	Tier      string `json:"tier"`
	AgentID   string `json:"agent_id"`
	Existing  bool   `json:"existing"` // a retry, or merged into what was there
	Acks      int    `json:"acks"`
	Token     string `json:"token"`
}

// Deleted is the answer to Delete.
type Deleted struct {
	ID    string
	Token string
}

// Link is a directed relation between two memories.
type Link struct {
	SourceID  string `json:"source_id"`
	TargetID  string `json:"target_id"`
	Relation  string `json:"relation"`
	CreatedAt string `json:"created_at,omitzero"`
}

// Linked is the answer to Link.
type Linked struct {
	Link
	Token string
}

// Forget selects what to delete. At least one field is set.
type Forget struct {
	Namespace, Pattern, Tier string
}

// Forgotten is the answer to Forget.
type Forgotten struct {
	Deleted int
	Token   string
}

// Consolidation makes one memory of several.
type Consolidation struct {
	IDs                             []string
	Title, Summary, Namespace, Tier string
}

// Consolidated is the answer to Consolidate.
type Consolidated struct {
	ID           string
	Consolidated int
	Token        string
}

// What a Service is handed over and tells apart, by the names of this package: one that
// stands on a client needs no other package of memd's.
type (
	// Draft is that of package memory.
	Draft = memory.Draft
	// Patch is that of package memory.
	Patch = memory.Patch
	// Filter is that of package memory.
	Filter = memory.Filter
	// Raw is one JSON value, as it was written.
	Raw = memory.Raw
)

// JSON is v as a document that a Service answers.
func JSON(v any) (Raw, error) { return memory.AppendJSON(nil, v) }

// FormatTime is t as a Memory has it; the zero time and nil are "".
func FormatTime(t *time.Time) string {
	if t == nil || t.IsZero() {
		return ""
	}
	return memory.FormatTime(*t)
}

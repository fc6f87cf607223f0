package memory

import (
	"errors"
	"math"
	"strconv"
	"time"
)

// How a create meets a live memory of the same title and namespace (contract 1.5).
const (
	OnConflictError   = "error"
	OnConflictMerge   = "merge"
	OnConflictVersion = "version"
)

// Draft is the body of a create: what a writer said, before defaults. A nil pointer is something it did not say.
type Draft struct {
	Title      *string
	Content    *string
	Tier       *string
	Namespace  *string
	Source     *string
	Tags       []string // nil = not said
	Priority   *int64
	Confidence *float64
	TTLSecs    *int64
	ExpiresAt  *time.Time
	AgentID    *string
	Scope      *string
	OnConflict *string
	Metadata   Raw     // nil = not said
	Extra      []Field // members that this version does not know; they are kept in the memory
}

// DecodeDraft reads a create body strictly: duplicate keys, keys that differ in case only, invalid UTF-8, lone surrogates, wrong
// types, numbers out of range and anything after the object are FieldErrors. null is the same as leaving the member out. Values are
// checked by Memory.
func DecodeDraft(data []byte) (Draft, error) {
	r := draftReader{said: new(draftValues)}
	if err := eachMember(data, "body", r.field); err != nil {
		return Draft{}, err
	}
	if err := settleExtra(r.draft.Extra); err != nil {
		return Draft{}, err
	}
	return r.draft, nil
}

// DecodeDrafts reads a bulk body: a bare array or {"memories":[...]}, at most MaxBulk.
func DecodeDrafts(data []byte) ([]Draft, error) {
	list := data
	if kindOf(data) != '[' {
		list = nil
		err := eachMember(data, "body", func(name string, v []byte) error {
			if name == "memories" {
				list = v
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	if kindOf(list) != '[' {
		return nil, fieldErrorf("memories", "must be an array")
	}
	drafts := []Draft{}
	err := eachElement(list, func(item []byte) error {
		if len(drafts) == MaxBulk {
			return fieldErrorf("memories", "must have at most %d items", MaxBulk)
		}
		d, err := DecodeDraft(item)
		drafts = append(drafts, d)
		return within(err, "memories["+strconv.Itoa(len(drafts)-1)+"]")
	})
	if err != nil {
		return nil, err
	}
	return drafts, nil
}

// within puts the place of an item before the field of its error.
func within(err error, place string) error {
	fe, ok := errors.AsType[*FieldError](err)
	if !ok {
		return err
	}
	if fe.Field == "body" {
		return &FieldError{Field: place, Problem: fe.Problem}
	}
	return &FieldError{Field: place + "." + fe.Field, Problem: fe.Problem}
}

// kindOf is the first byte of a JSON text that is not white space.
func kindOf(data []byte) byte {
	for _, c := range data {
		if c != ' ' && c != '\t' && c != '\n' && c != '\r' {
			return c
		}
	}
	return 0
}

// draftValues is what the pointers of a decoded Draft point into: one allocation for all of them.
type draftValues struct {
	title, content, tier, namespace, source, agentID, scope, onConflict string
	priority, ttlSecs                                                   int64
	confidence                                                          float64
	expiresAt                                                           time.Time
}

type draftReader struct {
	draft Draft
	said  *draftValues
}

func (r *draftReader) field(name string, v []byte) error {
	if isNull(v) && known[name] {
		return nil
	}
	d, said := &r.draft, r.said
	switch name {
	case "title":
		return say(&d.Title, &said.title, stringField, name, v)
	case "content":
		return say(&d.Content, &said.content, stringField, name, v)
	case "tier":
		return say(&d.Tier, &said.tier, stringField, name, v)
	case "namespace":
		return say(&d.Namespace, &said.namespace, stringField, name, v)
	case "source":
		return say(&d.Source, &said.source, stringField, name, v)
	case "priority":
		return say(&d.Priority, &said.priority, integerField, name, v)
	case "confidence":
		return say(&d.Confidence, &said.confidence, numberField, name, v)
	case "ttl_secs":
		return say(&d.TTLSecs, &said.ttlSecs, integerField, name, v)
	case "expires_at":
		return say(&d.ExpiresAt, &said.expiresAt, timeField, name, v)
	case "agent_id":
		return say(&d.AgentID, &said.agentID, stringField, name, v)
	case "scope":
		return say(&d.Scope, &said.scope, stringField, name, v)
	case "on_conflict":
		return say(&d.OnConflict, &said.onConflict, stringField, name, v)
	case "tags":
		var err error
		d.Tags, err = tagsField(v)
		return err
	case "metadata":
		var err error
		d.Metadata, err = metadataField(v)
		return err
	default:
		return addExtra(&d.Extra, name, v)
	}
}

// say reads a value into place and points to it.
func say[T any](to **T, place *T, read func(string, []byte) (T, error), name string, v []byte) (err error) {
	if *place, err = read(name, v); err == nil {
		*to = place
	}
	return err
}

func addExtra(extra *[]Field, name string, v []byte) error {
	f, keep, err := extraField(name, v)
	if keep {
		*extra = append(*extra, f)
	}
	return err
}

// Memory fills the defaults and applies every limit of the contract. The agent id is the body's, else agent (the door's: header,
// session, or "" = whatever the metadata says). The result has no ID: the title decides it (DerivedID).
func (d Draft) Memory(now time.Time, agent string) (Memory, error) {
	now = now.UTC()
	m := Memory{
		Tier: or(d.Tier, TierMid), Namespace: or(d.Namespace, DefaultNamespace), Title: or(d.Title, ""), Content: or(d.Content, ""),
		Tags: d.Tags, Confidence: or(d.Confidence, DefaultConfidence), Source: or(d.Source, DefaultSource),
		CreatedAt: now, UpdatedAt: now, Metadata: d.Metadata, Extra: d.Extra,
	}
	switch {
	case d.Title == nil:
		return Memory{}, fieldErrorf("title", "is required")
	case d.Content == nil:
		return Memory{}, fieldErrorf("content", "is required")
	}
	m.Priority = int32range(or(d.Priority, DefaultPriority))
	if err := m.check(); err != nil {
		return Memory{}, err
	}
	if err := d.stampMetadata(&m, agent); err != nil {
		return Memory{}, err
	}
	if err := d.setExpiry(&m, now); err != nil {
		return Memory{}, err
	}
	if _, err := d.Conflict(OnConflictError); err != nil {
		return Memory{}, err
	}
	return m, m.checkSize()
}

func or[T any](p *T, otherwise T) T {
	if p == nil {
		return otherwise
	}
	return *p
}

func int32range(n int64) int { return int(max(math.MinInt32, min(n, math.MaxInt32))) }

// check applies the rules of contract 1.1 and 1.3 to what a client can say.
func (m *Memory) check() error {
	if err := checkTitle(m.Title); err != nil {
		return err
	}
	if err := checkContent(m.Content); err != nil {
		return err
	}
	if err := checkTier("tier", m.Tier); err != nil {
		return err
	}
	if err := ValidateNamespace(m.Namespace); err != nil {
		return err
	}
	if err := checkTags(m.Tags); err != nil {
		return err
	}
	if err := checkPriority(m.Priority); err != nil {
		return err
	}
	if err := checkConfidence(m.Confidence); err != nil {
		return err
	}
	return checkSource(m.Source)
}

// checkSize bounds the whole value. Only unknown members can get it there: the known ones are bounded each.
func (m *Memory) checkSize() error {
	n := len(m.Content) + len(m.Metadata)
	for _, f := range m.Extra {
		n += len(f.Name) + len(f.Value)
	}
	if n > MaxMemory/4 && len(m.Encode()) > MaxMemory {
		return fieldErrorf("body", "is more than %d bytes at rest", MaxMemory)
	}
	return nil
}

func (d *Draft) stampMetadata(m *Memory, agent string) error {
	var set []Field
	if id := or(d.AgentID, agent); d.AgentID != nil || id != "" {
		if err := ValidateAgentID(id); err != nil {
			return err
		}
		set = append(set, textField("agent_id", id))
	} else if m.Metadata.has("agent_id") {
		if err := checkAgent("metadata.agent_id", m.Metadata.text("agent_id")); err != nil {
			return err
		}
	}
	if d.Scope != nil {
		if err := checkScope(*d.Scope); err != nil {
			return err
		}
		set = append(set, textField("scope", *d.Scope))
	}
	var err error
	if m.Metadata, err = m.Metadata.with(set...); err != nil {
		return err
	}
	return checkMetadata(m.Metadata)
}

// setExpiry: expires_at, else ttl_secs, else the tier's TTL (contract 1.2).
func (d *Draft) setExpiry(m *Memory, now time.Time) error {
	if d.TTLSecs != nil && (*d.TTLSecs < 1 || *d.TTLSecs > MaxTTL) {
		return fieldErrorf("ttl_secs", "must be from 1 to %d", MaxTTL)
	}
	switch ttl, ok := TierTTL(m.Tier); {
	case d.ExpiresAt != nil:
		if !d.ExpiresAt.After(now) {
			return fieldErrorf("expires_at", "must be in the future")
		}
		m.ExpiresAt, m.Expiry = d.ExpiresAt.UTC(), expiryAt(*d.ExpiresAt)
	case d.TTLSecs != nil:
		m.ExpiresAt = now.Add(time.Duration(*d.TTLSecs) * time.Second)
		m.Expiry = "ttl:" + strconv.FormatInt(*d.TTLSecs, 10)
	case ok:
		m.ExpiresAt = now.Add(ttl)
	}
	return nil
}

func expiryAt(t time.Time) string { return "at:" + FormatTime(t) }

// Conflict is the writer's policy for a title that is taken, otherwise if it did not say.
func (d Draft) Conflict(otherwise string) (string, error) {
	switch p := or(d.OnConflict, otherwise); p {
	case OnConflictError, OnConflictMerge, OnConflictVersion:
		return p, nil
	default:
		return "", fieldErrorf("on_conflict", "must be error, merge or version")
	}
}

// Upsert is on_conflict=merge (contract 1.5): content, tags, source and metadata are replaced, priority, confidence and tier only go
// up, a long memory does not expire, and id, created_at and the stored agent_id stay.
func (d Draft) Upsert(old Memory, now time.Time, agent string) (Memory, error) {
	m, err := d.Memory(now, agent)
	if err != nil {
		return Memory{}, err
	}
	m.ID, m.AccessCount, m.LastAccessedAt = old.ID, old.AccessCount, old.LastAccessedAt
	m.Title, m.Namespace, m.CreatedAt = old.Title, old.Namespace, old.CreatedAt
	m.Priority, m.Confidence = max(m.Priority, old.Priority), max(m.Confidence, old.Confidence)
	if m.Metadata, err = keepAgent(m.Metadata, old.Metadata); err != nil {
		return Memory{}, err
	}
	m.Extra = overlay(old.Extra, m.Extra)
	m.Tier = higherTier(m.Tier, old.Tier)
	switch {
	case m.Tier == TierLong:
		m.ExpiresAt, m.Expiry = time.Time{}, ""
	case m.ExpiresAt.IsZero():
		m.ExpiresAt, m.Expiry = old.ExpiresAt, old.Expiry
	}
	return m, m.checkSize()
}

// keepAgent carries the stored agent_id over to new metadata: once a row has one, nothing changes it.
func keepAgent(now, stored Raw) (Raw, error) {
	if id := stored.text("agent_id"); id != "" {
		out, err := now.with(textField("agent_id", id))
		if err != nil {
			return nil, err
		}
		return out, checkMetadata(out)
	}
	return now, nil
}

// overlay is old with the members of changes put over it; a null takes one away.
func overlay(old, changes []Field) []Field {
	if len(changes) == 0 {
		return old
	}
	out := make([]Field, 0, len(old)+len(changes))
	names := make(map[string]bool, len(changes))
	for _, f := range changes {
		names[f.Name] = true
		if !isNull(f.Value) {
			out = append(out, f)
		}
	}
	for _, f := range old {
		if !names[f.Name] {
			out = append(out, f)
		}
	}
	sortFields(out)
	return out
}

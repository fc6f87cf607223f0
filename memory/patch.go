package memory

import "time"

// Patch is the body of an update: nil and false are what it leaves alone.
type Patch struct {
	Title       *string
	Content     *string
	Tier        *string
	Namespace   *string
	Tags        []string // nil = leave alone; empty = none
	Priority    *int64
	Confidence  *float64
	ExpiresAt   *time.Time
	ClearExpiry bool    // expires_at was null, "" or "null"
	Metadata    Raw     // replaces the stored object, except its agent_id
	AgentID     *string // who writes; never changes the stored agent_id
	Extra       []Field // unknown members to set; null takes one away
}

// DecodePatch reads an update body as strictly as DecodeDraft. null leaves a member alone, except for expires_at, which it clears.
func DecodePatch(data []byte) (Patch, error) {
	var p Patch
	if err := eachMember(data, "body", p.field); err != nil {
		return Patch{}, err
	}
	if err := settleExtra(p.Extra); err != nil {
		return Patch{}, err
	}
	return p, nil
}

func (p *Patch) field(name string, v []byte) (err error) {
	if isNull(v) && known[name] && name != "expires_at" {
		return nil
	}
	switch name {
	case "title":
		p.Title, err = optional(stringField, name, v)
	case "content":
		p.Content, err = optional(stringField, name, v)
	case "tier":
		p.Tier, err = optional(stringField, name, v)
	case "namespace":
		p.Namespace, err = optional(stringField, name, v)
	case "tags":
		p.Tags, err = tagsField(v)
	case "priority":
		p.Priority, err = optional(integerField, name, v)
	case "confidence":
		p.Confidence, err = optional(numberField, name, v)
	case "metadata":
		p.Metadata, err = metadataField(v)
	case "agent_id":
		p.AgentID, err = optional(stringField, name, v)
	case "expires_at":
		if s := string(v); s == "null" || s == `""` || s == `"null"` {
			p.ClearExpiry = true
			return nil
		}
		p.ExpiresAt, err = optional(timeField, name, v)
	default:
		err = addExtra(&p.Extra, name, v)
	}
	return err
}

// Empty tells that the patch changes nothing.
func (p Patch) Empty() bool {
	return p.Title == nil && p.Content == nil && p.Tier == nil && p.Namespace == nil && p.Tags == nil && p.Priority == nil &&
		p.Confidence == nil && p.ExpiresAt == nil && !p.ClearExpiry && p.Metadata == nil && len(p.Extra) == 0
}

// Apply is the update verb on a stored memory. Only what the patch names is checked: a stored value that an older rule allowed stays.
// The tier never goes down, the stored agent_id never changes, and a memory that becomes long loses its expiry unless the patch
// gives one.
func (p Patch) Apply(m Memory, now time.Time) (Memory, error) {
	var err error
	check := func(e error) {
		if err == nil {
			err = e
		}
	}
	if p.AgentID != nil {
		check(ValidateAgentID(*p.AgentID))
	}
	if p.Title != nil {
		m.Title = *p.Title
		check(checkTitle(m.Title))
	}
	if p.Content != nil {
		m.Content = *p.Content
		check(checkContent(m.Content))
	}
	if p.Namespace != nil {
		m.Namespace = *p.Namespace
		check(ValidateNamespace(m.Namespace))
	}
	if p.Tags != nil {
		m.Tags = p.Tags
		check(checkTags(m.Tags))
	}
	if p.Priority != nil {
		m.Priority = int32range(*p.Priority)
		check(checkPriority(m.Priority))
	}
	if p.Confidence != nil {
		m.Confidence = *p.Confidence
		check(checkConfidence(m.Confidence))
	}
	if p.Metadata != nil {
		kept, e := keepAgent(p.Metadata, m.Metadata)
		check(e)
		m.Metadata = kept
	}
	if p.Tier != nil {
		check(checkTier("tier", *p.Tier))
		if *p.Tier == TierLong && m.Tier != TierLong {
			m.ExpiresAt, m.Expiry = time.Time{}, ""
		}
		m.Tier = higherTier(m.Tier, *p.Tier)
	}
	switch {
	case p.ClearExpiry:
		m.ExpiresAt, m.Expiry = time.Time{}, ""
	case p.ExpiresAt != nil:
		m.ExpiresAt, m.Expiry = p.ExpiresAt.UTC(), expiryAt(*p.ExpiresAt)
	}
	m.Extra = overlay(m.Extra, p.Extra)
	m.UpdatedAt = now.UTC()
	if err != nil {
		return Memory{}, err
	}
	return m, m.checkSize()
}

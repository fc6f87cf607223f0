package memory

import (
	"slices"
	"time"
)

// SourceConsolidation is the source of a memory that was made of others.
const SourceConsolidation = "consolidation"

// Consolidate is the memory that stands for several (contract 2.2): title, content and namespace are d's, its tags are all of theirs,
// its priority the highest, its tier long unless d says otherwise, and its metadata names the ids and who wrote them. The result has
// no ID.
func Consolidate(d Draft, from []Memory, now time.Time, agent string) (Memory, error) {
	var derived, agents []string
	priority := int64(MinPriority)
	d.Tags = []string{}
	for i := range from {
		m := &from[i]
		derived = append(derived, m.ID)
		if who := m.Agent(); who != "" && !slices.Contains(agents, who) {
			agents = append(agents, who)
		}
		for _, t := range m.Tags {
			if !slices.Contains(d.Tags, t) {
				d.Tags = append(d.Tags, t)
			}
		}
		priority = max(priority, int64(m.Priority))
	}
	if len(d.Tags) > MaxTags {
		return Memory{}, fieldErrorf("ids", "have %d tags together; a memory can have %d", len(d.Tags), MaxTags)
	}
	d.Metadata = append(d.Metadata[:0:0], `{"consolidated_from_agents":`...)
	d.Metadata = append(appendTexts(d.Metadata, agents), `,"derived_from":`...)
	d.Metadata = append(appendTexts(d.Metadata, derived), '}')
	source := SourceConsolidation
	d.Priority, d.Source = &priority, &source
	if d.Tier == nil {
		long := TierLong
		d.Tier = &long
	}
	return d.Memory(now, agent)
}

// StandsFor tells whether the memory was made of exactly those ids.
func (m *Memory) StandsFor(ids []string) bool {
	same := false
	_ = eachMember(m.Metadata, "metadata", func(name string, v []byte) error {
		if name == "derived_from" {
			same = string(v) == string(appendTexts(nil, ids))
		}
		return nil
	})
	return same
}

func appendTexts(b []byte, list []string) []byte {
	b = append(b, '[')
	for i, s := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = AppendString(b, s)
	}
	return append(b, ']')
}

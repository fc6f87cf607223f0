package recall

import (
	"math"
	"strings"
	"time"

	"github.com/memd/memd/memory"
)

// halfLife is after what time a memory's age has cost it half of what age can cost.
const halfLife = 90 * 24 * time.Hour

// Rank is how good a hit is for a reader, from how well the words fit and what the memory
// is: a mild preference for the recent, the important, the lasting and the sure, none of
// which makes a bad fit a good one. distance is how many levels of namespace it is above
// the one that was asked about (contract 1.3).
func Rank(words float64, m *memory.Memory, text string, distance int, now time.Time) float64 {
	// In whole hours: two hits that are nearly as good must not change places between the
	// pages of a search because a moment has passed.
	age := max(now.Truncate(time.Hour).Sub(m.UpdatedAt), 0).Truncate(time.Hour)
	recency := 0.8 + 0.2*math.Exp2(-age.Hours()/halfLife.Hours())
	weight := 1 + 0.02*float64(m.Priority-memory.DefaultPriority)
	switch m.Tier {
	case memory.TierLong:
		weight += 0.05
	case memory.TierShort:
		weight -= 0.05
	}
	weight *= 0.9 + 0.1*m.Confidence
	if strings.EqualFold(memory.TitleKey(m.Title), memory.TitleKey(strings.TrimSpace(text))) {
		weight *= 1.5 // asked for by its name
	}
	return words * recency * weight / (1 + 0.3*float64(distance))
}

// Phrases are the parts of a text in double quotes, in lower case: a memory is wanted that
// has them word for word.
func Phrases(text string) []string {
	var out []string
	parts := strings.Split(text, `"`)
	for i := 1; i+1 < len(parts); i += 2 {
		if p := strings.ToLower(strings.Join(strings.Fields(parts[i]), " ")); p != "" {
			out = append(out, p)
		}
	}
	return out
}

// HasPhrases tells whether a memory has all of them, in its title or its content.
func HasPhrases(m *memory.Memory, phrases []string) bool {
	if len(phrases) == 0 {
		return true
	}
	text := strings.ToLower(strings.Join(strings.Fields(m.Title+"\n"+m.Content), " "))
	for _, p := range phrases {
		if !strings.Contains(text, p) {
			return false
		}
	}
	return true
}

// Tokens is about what a memory costs a language model: four bytes a token.
func Tokens(m *memory.Memory) int { return (len(m.Title) + len(m.Content) + 3) / 4 }

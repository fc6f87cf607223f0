package memory

import (
	"testing"
	"time"
)

func TestExpiredValueIsExpired(t *testing.T) {
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	key := NewKey(KindMemory, "a")
	for _, metadata := range []string{`{}`, `{"a":1,"expires_at":"2020-01-01T00:00:00Z"}`, `{"expires_at":"2100-01-01T00:00:00Z"}`, `{"expires_at":7}`} {
		for _, expires := range []time.Time{{}, now.Add(-time.Nanosecond), now, now.Add(time.Nanosecond)} {
			m := Memory{
				ID: "a", Tier: TierMid, Namespace: "global", Title: "t", Content: `say "expires_at":"2020-01-01T00:00:00Z"`,
				Priority: 5, Confidence: 1, Source: "api", CreatedAt: now, UpdatedAt: now, ExpiresAt: expires, Metadata: Raw(metadata),
			}
			value := m.Encode()
			if _, err := DecodeMemory(key, value); err != nil {
				t.Fatal(err)
			}
			if got, want := ExpiredValue(key, value, now), m.Expired(now); got != want {
				t.Errorf("%s, expires %v: %v, want %v", metadata, expires, got, want)
			}
		}
	}
}

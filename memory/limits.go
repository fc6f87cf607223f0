package memory

import "time"

// Limits of a record. They bound what one row can cost a node that receives it; a newer version of memd may not exceed them while
// older members are in the cluster, because those would refuse the row.
const (
	MaxSiblings = 1024      // concurrent versions of one record
	MaxPayload  = 256 << 10 // bytes of one version's payload
	MaxValue    = 252 << 10 // bytes of one document; the rest of the payload is stamp, agent, hashes, unknown fields
	MaxMemory   = 248 << 10 // bytes of a memory's document that a door takes: its archive record needs some more
	MaxRecord   = 16 << 20  // bytes of one encoded record
	MaxLost     = 16        // digests of superseded conflict losers kept per record
	MaxIdems    = 16        // idempotency marks of superseded versions kept per record
	MaxExt      = 32        // unknown fields at record level
	MaxExtField = 4 << 10   // bytes of one unknown field at record level
	MaxAgentLen = 128       // bytes of an agent id
	MaxIDLen    = 128       // bytes of a record id
)

// Limits of a memory (contract 1.1 to 1.4).
const (
	MaxTitle          = 512        // characters
	MaxContent        = 65_536     // bytes
	MaxTags           = 50         // tags per memory
	MaxTag            = 128        // bytes of one tag
	MaxSource         = 64         // bytes
	MaxMetadata       = 65_536     // bytes of the canonical form
	MaxDepth          = 32         // nesting of metadata; the object itself is level 1
	MaxNamespace      = 512        // characters
	MaxNamespaceDepth = 8          // segments
	MaxTTL            = 31_536_000 // seconds
	MaxQuery          = 8 << 10    // bytes of what to recall or search for
	MaxBulk           = 1000       // memories in one bulk call
	MaxConsolidated   = 100        // memories that become one
	MaxAccessCount    = 1_000_000
	MinPriority       = 1
	MaxPriority       = 10
	DefaultPriority   = 5
	DefaultLimit      = 20
	MaxLimit          = 1000
	MaxTitleVersion   = 1024 // highest suffix of on_conflict=version
	MaxReason         = 512  // bytes of an archive_reason
	MaxRelation       = 64   // bytes of a link's relation
	MaxAgentType      = 64   // bytes
	MaxCapabilities   = 64   // of one agent, each of at most MaxTag bytes
	MaxGovernance     = 4096 // bytes of the canonical form
	MaxConsensus      = 1000 // approvers of a governance
	DefaultNamespace  = "global"
	DefaultConfidence = 1.0
	DefaultSource     = "api"
)

// Tiers of a memory.
const (
	TierShort = "short"
	TierMid   = "mid"
	TierLong  = "long"
)

// TierTTL is how long a memory of a tier lives unless its writer says otherwise; ok is false for a tier that does not expire.
func TierTTL(tier string) (ttl time.Duration, ok bool) {
	switch tier {
	case TierShort:
		return 21_600 * time.Second, true
	case TierMid:
		return 604_800 * time.Second, true
	default:
		return 0, false
	}
}

// tierRank orders tiers; an unknown tier is 0.
func tierRank(tier string) int {
	switch tier {
	case TierShort:
		return 1
	case TierMid:
		return 2
	case TierLong:
		return 3
	default:
		return 0
	}
}

func higherTier(a, b string) string {
	if tierRank(b) > tierRank(a) {
		return b
	}
	return a
}

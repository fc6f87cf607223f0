package storage

import (
	"encoding/binary"
	"math"
	"time"

	"github.com/memd/memd/clock"
	"github.com/memd/memd/memory"
)

// Files of a data directory.
const (
	DataFile   = "memd.db"    // the bbolt file
	MarkerFile = "memd.store" // says that DataFile exists: without it a lost file would look like a new node
)

// Format of the data file. Of the others only the one before is read: it is converted when
// it is opened (upgrade.go). All others are refused.
const Format = 3

// Buckets. "sealed" values begin with a 16-byte checksum over value and key (seal.go),
// since bbolt has none on its data pages. All others are derived from sealed ones: a
// damaged entry in them can hide a row from a list, never make a false claim.
var (
	// meta: name -> value.
	//
	//	"format"  -> "1"
	//	"cluster" -> 16 bytes, absent until known
	//	"node"    -> name of the node that made the store; absent if it had none
	//	"state"   -> sealed: view sum 16, last seq 8, HLC bound 8
	//	"floor"   -> sealed clock encoding, absent while empty
	//	"indexed" -> seq BE8: up to it the keys bucket knows all rows (recent.go)
	bucketMeta = []byte("meta")

	// clock: scope 0x00 origin BE8 -> sealed clock encoding of that origin alone.
	//
	//	"*" 00 | 9f3c..e1 -> sealed {base 42, 44-47}
	bucketClock = []byte("clock")

	// keys: record key -> seq BE8, its place in rows. A row behind "indexed" overrides it.
	//
	//	01 01 | 16 bytes of the id -> 00..2a
	bucketKeys = []byte("keys")

	// rows: seq BE8 -> sealed record, the bytes as on the wire. A record that changes moves
	// to the end, so the bucket is the order of arrival and the local change feed at once
	// (table.go).
	//
	//	00..2a -> sum | record
	bucketRows = []byte("rows")

	// dots: origin BE8, counter BE8 -> record key. Live and superseded dots, and those of
	// quarantined rows: everything in the clock that is not below the floor.
	bucketDots = []byte("dots")

	// order: namespace 00 (255-priority) inverted-updated BE8 record-key -> expiry BE8, or
	// nothing if it never expires. One entry per live memory, in list order.
	//
	//	"acme/ops" 00 | f8 | 17ff.. | 01 01 .. -> ""
	bucketOrder = []byte("order")

	// tags: tag 00, then as in order. One entry per tag of a live memory.
	bucketTags = []byte("tags")

	// titles: namespace 00 NFC-title 00 record-key -> nothing. Only live memories whose id
	// is not the one derived from their title with generation 0: for all others the keys
	// bucket itself answers. A random-key insert per put is what costs in bbolt.
	bucketTitles = []byte("titles")

	// links: length of a memory's record key 1, that key, record key of the link -> nothing.
	// Two entries per live link: one under each end.
	//
	//	12 | 01 01 .. | 03 01 .. -> ""
	bucketLinks = []byte("links")

	// archived: as order, by the memory's namespace and the time of archiving, with priority
	// 0 for all -> nothing. One entry per live archive record.
	//
	//	"acme/ops" 00 | ff | 17ff.. | 04 01 .. -> ""
	bucketArchived = []byte("archived")

	// counts: what -> signed BE8, absent when 0.
	//
	//	"n" namespace -> live memories   "t" tier -> live memories
	//	"m" -> live memories             "d" -> deleted rows      "c" -> rows in conflict
	//	"l" -> live links                "a" namespace -> live archive records
	bucketCounts = []byte("counts")

	// idem: hash of the idempotency key 16, origin BE8, counter BE8 -> content hash 16,
	// record key. One entry per write that carried a key and is still in a row.
	bucketIdem = []byte("idem")

	// revs: record key, origin BE8, counter BE8 -> sealed record holding that version
	// alone: the body of a conflict loser that a later write superseded. Local.
	bucketRevs = []byte("revs")

	// quar: origin BE8, counter BE8 -> sealed: uvarint length and text of the reason, then
	// the raw bytes of the row. Rows that could not be read: held, relayed, never shown.
	bucketQuar = []byte("quar")

	// access: record key -> uvarint reads, uvarint nanoseconds of the last one. Local.
	bucketAccess = []byte("access")
)

var buckets = [][]byte{
	bucketMeta, bucketClock, bucketKeys, bucketRows, bucketDots, bucketOrder, bucketTags, bucketTitles,
	bucketLinks, bucketArchived, bucketCounts, bucketIdem, bucketRevs, bucketQuar, bucketAccess,
}

var (
	metaFormat  = []byte("format")
	metaCluster = []byte("cluster")
	metaNode    = []byte("node")
	metaState   = []byte("state")
	metaFloor   = []byte("floor")
	metaIndexed = []byte("indexed")
)

// ScopeAll is the one scope of this version: every record.
const ScopeAll = "*"

const dotSize = 16

func appendDot(b []byte, d clock.Dot) []byte {
	b = binary.BigEndian.AppendUint64(b, uint64(d.Origin))
	return binary.BigEndian.AppendUint64(b, d.Counter)
}

func dotKey(d clock.Dot) []byte { return appendDot(make([]byte, 0, dotSize), d) }

func parseDot(b []byte) (clock.Dot, bool) {
	if len(b) != dotSize {
		return clock.Dot{}, false
	}
	d := clock.Dot{Origin: clock.Origin(binary.BigEndian.Uint64(b)), Counter: binary.BigEndian.Uint64(b[8:])}
	return d, d.Valid()
}

func clockKey(o clock.Origin) []byte {
	return binary.BigEndian.AppendUint64([]byte(ScopeAll+"\x00"), uint64(o))
}

func seqKey(seq uint64) []byte { return binary.BigEndian.AppendUint64(make([]byte, 0, 8), seq) }

// orderSuffix is what order and tags keys end in, behind their prefix.
const orderSuffix = 1 + 8

// appendOrder appends the list order of a memory: a greater priority and a later update
// sort first.
func appendOrder(b []byte, priority int, updated time.Time, key memory.Key) []byte {
	b = append(b, invertPriority(priority))
	b = binary.BigEndian.AppendUint64(b, invertTime(updated))
	return append(b, key...)
}

func invertPriority(p int) byte { return byte(255 - min(max(p, 0), 255)) }

// invertTime maps later times to smaller numbers. Years beyond the range of nanoseconds
// share its ends.
func invertTime(t time.Time) uint64 {
	n := int64(math.MinInt64)
	switch y := t.Year(); {
	case y > 2261:
		n = math.MaxInt64
	case y > 1677:
		n = t.UnixNano()
	}
	return ^(uint64(n) ^ 1<<63)
}

func namespacePrefix(ns string) []byte { return append([]byte(ns), 0) }

func tagPrefix(tag, ns string) []byte {
	b := make([]byte, 0, len(tag)+len(ns)+2)
	b = append(append(b, tag...), 0)
	return append(append(b, ns...), 0)
}

func titlePrefix(ns, title string) []byte {
	b := make([]byte, 0, len(ns)+len(title)+2)
	b = append(append(b, ns...), 0)
	return append(append(b, title...), 0)
}

func linkPrefix(end memory.Key) []byte {
	return append([]byte{byte(len(end))}, end...)
}

func idemKey(h memory.Hash, d clock.Dot) []byte {
	return appendDot(append(make([]byte, 0, len(h)+dotSize), h[:]...), d)
}

func revKey(k memory.Key, d clock.Dot) []byte {
	return appendDot(append(make([]byte, 0, len(k)+dotSize), k...), d)
}

// Names of counters.
const (
	countNamespace = "n"
	countTier      = "t"
	countLive      = "m"
	countDeleted   = "d"
	countConflicts = "c"
	countLinks     = "l"
	countArchived  = "a"
)

// appendExpiry appends the value of an order entry: nothing if the memory never expires.
func appendExpiry(b []byte, t time.Time) []byte {
	if t.IsZero() {
		return b
	}
	return binary.BigEndian.AppendUint64(b, ^invertTime(t))
}

// expired reads an expiryValue.
func expired(v []byte, now time.Time) bool {
	return len(v) == 8 && binary.BigEndian.Uint64(v) <= ^invertTime(now)
}

package wire

import (
	"fmt"
	"net/http"
	"strconv"

	"github.com/memd/memd/clock"
	"github.com/memd/memd/memory"
)

// Hello is what the headers of a message say about its sender.
type Hello struct {
	Proto   int
	Cluster memory.ClusterID // zero = none yet
	Name    string
	Boot    uint64
	// ClockHash is the hash of the sender's durable clock; only answers carry it.
	ClockHash    uint64
	HasClockHash bool
	HLC          clock.Stamp // the sender's wall clock; 0 = not said
}

// Hello returns what s says of itself, without a clock hash.
func (s Self) Hello() Hello {
	return Hello{Proto: Proto, Cluster: s.cluster(), Name: s.Name, Boot: s.Boot}
}

// WithClock returns h with the hash of the sender's durable clock.
func (h Hello) WithClock(hash uint64) Hello {
	h.ClockHash, h.HasClockHash = hash, true
	return h
}

// Set writes h into a header.
func (h Hello) Set(header http.Header) {
	header.Set(HeaderProto, strconv.Itoa(h.Proto))
	header.Set(HeaderNode, h.Name)
	header.Set(HeaderBoot, strconv.FormatUint(h.Boot, 10))
	if !h.Cluster.IsZero() {
		header.Set(HeaderCluster, h.Cluster.String())
	}
	if h.HasClockHash {
		header.Set(HeaderClock, hash64(h.ClockHash))
	}
	if h.HLC != 0 {
		header.Set(HeaderHLC, strconv.FormatUint(uint64(h.HLC), 10))
	}
}

// ParseHello reads what Set wrote. Each error is a [*memory.FieldError] that names the
// header.
func ParseHello(header http.Header) (Hello, error) {
	var h Hello
	get := func(key string) (string, error) {
		switch values := header.Values(key); len(values) {
		case 0:
			return "", nil
		case 1:
			return values[0], nil
		}
		return "", fieldError(key, "given more than once")
	}
	proto, err := get(HeaderProto)
	if err != nil {
		return h, err
	}
	n, err := strconv.ParseUint(proto, 10, 16)
	if err != nil || n == 0 {
		return h, fieldError(HeaderProto, "must be a protocol version")
	}
	h.Proto = int(n)
	if h.Name, err = get(HeaderNode); err != nil {
		return h, err
	}
	if !ValidName(h.Name) {
		return h, fieldError(HeaderNode, "must be a node name")
	}
	boot, err := get(HeaderBoot)
	if err != nil {
		return h, err
	}
	if boot != "" {
		if h.Boot, err = strconv.ParseUint(boot, 10, 64); err != nil {
			return h, fieldError(HeaderBoot, "must be a number")
		}
	}
	cluster, err := get(HeaderCluster)
	if err != nil {
		return h, err
	}
	if cluster != "" {
		if h.Cluster, err = memory.ParseClusterID(cluster); err != nil {
			return h, fieldError(HeaderCluster, "must be a cluster id")
		}
	}
	hash, err := get(HeaderClock)
	if err != nil {
		return h, err
	}
	if hash != "" {
		if h.ClockHash, err = strconv.ParseUint(hash, 16, 64); err != nil || len(hash) != 16 {
			return h, fieldError(HeaderClock, "must be 16 hex digits")
		}
		h.HasClockHash = true
	}
	hlc, err := get(HeaderHLC)
	if err != nil {
		return h, err
	}
	if hlc != "" {
		n, err := strconv.ParseUint(hlc, 10, 64)
		if err != nil {
			return h, fieldError(HeaderHLC, "must be a number")
		}
		h.HLC = clock.Stamp(n)
	}
	return h, nil
}

// CheckCluster compares the cluster of a caller with one's own: nil if they are the
// same, 503 while this node has none, else 409. A caller without a cluster has no
// business here: it learns the id through gossip before its first pull.
func (s Self) CheckCluster(got memory.ClusterID) error {
	switch own := s.cluster(); {
	case own.IsZero():
		return &StatusError{Status: http.StatusServiceUnavailable, Code: "no_cluster", Message: "this node has no cluster id yet"}
	case own != got:
		return &StatusError{Status: http.StatusConflict, Code: "cluster_mismatch", Message: "this node belongs to another cluster"}
	}
	return nil
}

func checkProto(proto int) error {
	if proto != Proto {
		return &StatusError{Status: http.StatusConflict, Code: "protocol_mismatch",
			Message: fmt.Sprintf("this node speaks protocol %d", Proto)}
	}
	return nil
}

// hash64 is the text form of a clock hash.
func hash64(h uint64) string { return fmt.Sprintf("%016x", h) }

// etag is the entity tag of "what lies beyond this clock".
func etag(h uint64) string { return `"` + hash64(h) + `"` }

package httpapi

import "context"

// Doctor looks for what is wrong with a node, and with the ways to its peers.
type Doctor interface {
	// Diagnose takes some seconds at most: it pings, connects, and writes to the disk.
	Diagnose(context.Context) (Diagnosis, error)
}

// Diagnosis is the body of GET /api/v1/doctor.
type Diagnosis struct {
	Node     string    `json:"node"`
	Version  string    `json:"version"`
	Findings []Finding `json:"findings"` // never null
}

// Finding is one thing that is wrong, in words for people.
type Finding struct {
	// Severity is "error" (something does not work) or "warning" (it will not, or not well).
	Severity string `json:"severity"`
	// Check is what was looked at: "clock", "certificate", "udp", "tcp", "fsync", "disk",
	// "version", "key", "quorum", "store", "name", "member", "ready", "gossip", "content".
	Check   string `json:"check"`
	About   string `json:"about,omitempty"` // the peer that it is about
	Problem string `json:"problem"`
	Remedy  string `json:"remedy"` // what to do about it
}

func (c *call) doctor() error {
	d, err := c.door.Node.Diagnose(c.context())
	if err != nil {
		return err
	}
	return c.encode(d)
}

package mcpserver

import (
	"context"
	"encoding/hex"
	"hash/crc32"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/memd/memd/auth"
	"github.com/memd/memd/memory"
)

// identify says who writes (contract 1.4): the configured agent or the header of the
// request, else what the client calls itself, else a name made of the arguments, so that
// a retry comes from the same agent. What the arguments say goes before all of it, and is
// looked at where they are read. A client's word about itself is provenance, no proof.
func (s *Server) identify(ctx context.Context, req *mcp.CallToolRequest, opt *WriteOptions) error {
	p, _ := auth.From(ctx)
	if req.Extra != nil {
		if values := req.Extra.Header["X-Agent-Id"]; len(values) > 0 && values[0] != "" {
			if len(values) > 1 || memory.ValidateAgentID(values[0]) != nil {
				return invalid("header X-Agent-Id", "must be one of 1 to 128 letters, digits and _ - : @ . /")
			}
			if opt.Agent = values[0]; !p.Agent(opt.Agent) {
				return memory.ErrForbidden
			}
			return nil
		}
	}
	if s.agent != "" {
		opt.Agent = s.agent
		return nil
	}
	if own := p.Own(); own != "" { // what a client calls itself is not what its key is for
		opt.Agent = own
		return nil
	}
	if info := req.ClientInfo(); info != nil {
		if name := clean(info.Name); name != "" {
			opt.Agent = clip("ai:"+name, memory.MaxAgentLen-len(s.place)) + s.place
			return nil
		}
	}
	if name := p.Nameless(); name != "" {
		opt.Agent, opt.Anonymous = name, true
		return nil
	}
	var b [4]byte
	sum := crc32.Checksum(append([]byte(req.Params.Name+"\x00"), req.Params.Arguments...), castagnoli)
	b = [4]byte{byte(sum >> 24), byte(sum >> 16), byte(sum >> 8), byte(sum)}
	opt.Agent, opt.Anonymous = "anonymous:req-"+hex.EncodeToString(b[:]), true
	return nil
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// clean keeps what an agent id may contain; a run of anything else becomes one dash.
func clean(name string) string {
	var b strings.Builder
	for _, r := range name {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', strings.ContainsRune("_-.", r):
			b.WriteRune(r)
		case b.Len() > 0 && !strings.HasSuffix(b.String(), "-"):
			b.WriteByte('-')
		}
	}
	return strings.Trim(b.String(), "-")
}

// clip cuts s to n bytes at most; s is ASCII.
func clip(s string, n int) string { return s[:max(0, min(len(s), n))] }

// conflictPolicy is what a store does with a title that is taken, if the call does not
// say: agents that say the same thing again mean the same memory. Two clients of the
// original are asked first, since there they are (contract 1.5).
func conflictPolicy(agent string) string {
	if strings.HasPrefix(agent, "ai:claude-code") || strings.HasPrefix(agent, "ai:ai-memory-cli/v2") {
		return memory.OnConflictError
	}
	return memory.OnConflictMerge
}

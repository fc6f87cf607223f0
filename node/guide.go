package node

import (
	"context"
	"fmt"
	"slices"

	"github.com/memd/memd/httpapi"
	"github.com/memd/memd/mcpserver"
	"github.com/memd/memd/memory"
	"github.com/memd/memd/storage"
)

// SessionStart returns what an agent should know before it begins.
func (n *Node) SessionStart(ctx context.Context, ns string, limit int, opt httpapi.ReadOptions) (httpapi.Session, error) {
	out := httpapi.Session{Memories: []httpapi.Rendered{}}
	if err := n.reach(ctx, opt.After); err != nil {
		return out, err
	}
	err := n.view(ctx, func(tx *storage.Tx) (err error) {
		if out.Standards, err = n.inherited(tx, ns); err != nil || limit == 0 {
			return err
		}
		said := make(map[string]bool, len(out.Standards))
		for _, s := range out.Standards {
			said[s.ID] = true
		}
		return listEach(tx, memory.Filter{Namespace: ns, Limit: limit + len(said)}, func(key memory.Key, m httpapi.Rendered) {
			if !said[key.ID()] && len(out.Memories) < limit {
				out.Memories = append(out.Memories, m)
			}
		})
	})
	return out, err
}

// inherited are the standards that apply in a namespace, each memory once; "" = the global
// one alone.
func (n *Node) inherited(tx *storage.Tx, ns string) ([]httpapi.Standard, error) {
	if ns == "" {
		ns = memory.GlobalNamespace
	}
	chain, err := n.standardChain(tx, ns)
	if err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	return slices.DeleteFunc(chain.Standards, func(s httpapi.Standard) bool {
		twice := seen[s.ID]
		seen[s.ID] = true
		return twice
	}), nil
}

// capabilities is the document of contract 2.2. What the original can do and memd cannot
// is said to be off, in the members in which its clients look for it.
type capabilities struct {
	SchemaVersion string         `json:"schema_version,omitzero"` // not in the first schema
	Tier          string         `json:"tier"`                    // "semantic", "keyword", "none"
	Version       string         `json:"version"`
	Features      map[string]any `json:"features"`
	Models        map[string]any `json:"models"`

	*capabilities2
	*capabilities3
}

type capabilities2 struct {
	Permissions map[string]any `json:"permissions"`
	Hooks       map[string]any `json:"hooks"`
	Compaction  map[string]any `json:"compaction"`
	Approval    map[string]any `json:"approval"`
	Transcripts map[string]any `json:"transcripts"`
	HNSW        map[string]any `json:"hnsw"`
}

type capabilities3 struct {
	Summary     string   `json:"summary"`
	Description string   `json:"to_describe_to_user"`
	Tools       []string `json:"tools"` // of MCP, that this node lists
}

// Capabilities says what this node can do.
func (n *Node) Capabilities(ctx context.Context, schema int) (memory.Raw, error) {
	words := n.index != nil
	meaning, model, dims := n.EmbedderReady(), "none", 0
	if n.vectors != nil {
		model, dims = n.cfg.EmbeddingsModel, n.vectors.Status().Dimensions
	}
	doc := capabilities{
		Tier: "none", Version: n.cfg.Version,
		Features: map[string]any{
			// No verb searches by meaning alone: recall weighs it beside the words.
			"keyword_search": words, "semantic_search": false, "hybrid_recall": meaning, "embedder_loaded": meaning,
			"query_expansion": false, "auto_consolidation": false, "auto_tagging": false, "contradiction_analysis": false,
			"cross_encoder_reranking": false, "memory_reflection": false,
		},
		Models: map[string]any{"embedding": model, "embedding_dim": dims, "llm": "none", "cross_encoder": "none"},
	}
	mode := "disabled"
	switch {
	case meaning: // the contract's name for a node with an embedder, however good its model is
		doc.Tier, mode = "semantic", "hybrid"
	case words:
		doc.Tier, mode = "keyword", "keyword_only"
	}
	if schema >= 2 {
		rules, err := n.governed(ctx)
		if err != nil {
			return nil, err
		}
		doc.SchemaVersion = "2"
		doc.Features["memory_reflection"] = map[string]any{"planned": false, "enabled": false}
		doc.Features["recall_mode_active"], doc.Features["reranker_active"] = mode, "off"
		doc.capabilities2 = &capabilities2{
			// Advisory: a governance is kept and shown, and nothing is refused because of it.
			Permissions: map[string]any{"mode": "advisory", "enforced": false, "active_rules": rules},
			Hooks:       map[string]any{"enabled": false, "registered_count": 0},
			Compaction:  map[string]any{"enabled": false},
			Approval:    map[string]any{"enabled": false, "pending_requests": 0},
			Transcripts: map[string]any{"enabled": false},
			HNSW:        map[string]any{"evictions_total": 0, "evicted_recently": false},
		}
	}
	if schema >= 3 {
		doc.SchemaVersion = "3"
		tools := mcpserver.ToolNames(n.cfg.MCPTools)
		what := "finds them again by their words"
		switch {
		case meaning:
			what += ", and by what the model " + model + " takes to be near them"
		case !words:
			what = "does not search on this node"
		}
		doc.capabilities3 = &capabilities3{
			Summary: fmt.Sprintf("memd %s: a replicated memory of %d members, %d tools over MCP, recall %s.", n.cfg.Version, n.members.count(), len(tools), mode),
			Description: "I keep memories on several machines that hold the same; this one " + what +
				". Rules of a namespace are shown, not enforced.",
			Tools: tools,
		}
	}
	return memory.AppendJSON(nil, doc)
}

// governed counts the standards that carry a governance.
func (n *Node) governed(ctx context.Context) (count int, err error) {
	err = n.view(ctx, func(tx *storage.Tx) error {
		for rec, err := range tx.Each(memory.KindStandard) {
			if err != nil {
				continue // counted and logged by the store
			}
			if v := rec.View(); v.Live {
				if s, err := memory.DecodeStandard(v.Winner.Value); err == nil && s.Governance != nil {
					count++
				}
			}
		}
		return nil
	})
	return count, err
}

package mcpserver

import "slices"

// The arguments that several tools share. What the instructions explain, such as tokens
// and keys, is not explained here again: every word is paid for in every conversation.
var (
	id        = text("id", "Id or unique prefix").must()
	namespace = text("namespace", "")
	tier      = oneOf("tier", "", `"short","mid","long"`)
	tags      = texts("tags", "")
	tag       = text("tags", "One exact tag")
	priority  = ranged("priority", "integer", "", `"minimum":1,"maximum":10`)
	surety    = ranged("confidence", "number", "", `"minimum":0,"maximum":1`)
	since     = ranged("since", "string", "", `"format":"date-time"`)
	until     = ranged("until", "string", "", `"format":"date-time"`)
	author    = text("agent_id", "")
	asAgent   = text("as_agent", "Namespace whose view to take")
	offset    = whole("offset", "")
	key       = text("idempotency_key", "")
	after     = text("after", "")
	ifMatch   = text("if_match", "Token of the version read: refuse if it changed")
	relation  = oneOf("relation", "", `"related_to","supersedes","contradicts","derived_from"`)
	token     = text("token", "")
)

func limit(bounds string) property { return ranged("limit", "integer", "", bounds) }

var (
	// record is a memory as memory_get shows it, row and hit as one of many: an agent that
	// wants the rest of it asks for it.
	record = []property{
		text("id", "").must(), text("title", ""), text("content", ""), namespace, text("tier", ""), tags,
		whole("priority", ""), number("confidence", ""), text("source", ""), text("agent_id", ""), whole("access_count", ""),
		text("created_at", ""), text("updated_at", ""), text("last_accessed_at", ""), text("expires_at", ""),
		anyJSON("metadata", ""), whole("conflicts", ""), token,
	}
	row = []property{
		text("id", ""), text("title", ""), text("content", ""), namespace, text("tier", ""), tags,
		text("agent_id", ""), text("updated_at", ""), whole("conflicts", ""), token, flag("clipped", ""),
	}
	hit   = append(slices.Clip(row), number("score", ""))
	ends  = []property{text("source_id", "").must(), text("target_id", "").must(), text("relation", "").must()}
	stale = flag("stale", "")
	count = whole("count", "")
)

// defaultTools are listed by every server, in this order.
func defaultTools() []*tool {
	return []*tool{
		{
			name: "memory_store", title: "Store", kind: changes, run: (*Server).store,
			about: "Save or remember a fact, decision or preference for later and for other agents.",
			in: []property{
				ranged("title", "string", "Unique in its namespace", `"maxLength":512`).must(), text("content", "At most 64 KiB").must(),
				text("namespace", "e.g. acme/ops; default global"), oneOf("tier", "short 6 h, mid 7 d (default), long for ever", `"short","mid","long"`), tags, priority, surety,
				text("source", ""), anyJSON("metadata", ""), text("agent_id", ""),
				oneOf("scope", "Who may see it", `"private","team","unit","org","collective"`),
				oneOf("on_conflict", "If the title is taken; default merge (Claude Code: error)", `"merge","error","version"`),
				whole("ttl_secs", ""), text("expires_at", ""), key, after,
			},
			out: []property{
				text("id", "").must(), namespace, text("tier", ""), text("agent_id", ""),
				flag("existing", "A retry or a merge"), whole("acks", ""), token.must(),
			},
		},
		{
			name: "memory_recall", title: "Recall", kind: reads, run: (*Server).recall,
			about:   "Find what is known about something: best matches for any of the words, ranked. Call before answering from memory.",
			aliases: map[string]string{"query": "context", "q": "context"},
			in: []property{
				text("context", "What it is about").must(), namespace, limit(`"maximum":50,"default":10`), tag, since, until, asAgent,
				whole("budget_tokens", "Most tokens of content"), after,
			},
			out: []property{
				list("memories", hit).must(), count, text("mode", ""), whole("tokens_used", ""), whole("memories_dropped", ""), token, stale,
			},
		},
		{
			name: "memory_search", title: "Search", kind: reads, run: (*Server).search,
			about:   "Look up memories that contain all the words, with filters.",
			aliases: map[string]string{"context": "query", "q": "query"},
			in: []property{
				text("query", "").must(), namespace, tier, tag, author, since, until, asAgent, limit(`"maximum":200,"default":20`), after,
			},
			out: []property{list("results", hit).must(), count, token, stale},
		},
		{
			name: "memory_get", title: "Get", kind: reads, run: (*Server).get,
			about: "Read one memory in full, with links.",
			in:    []property{id, flag("conflicts", "Also versions that lost"), after},
			out:   append(slices.Clip(record), list("links", ends), list("siblings", nil), stale),
		},
		{
			name: "memory_list", title: "List", kind: reads, run: (*Server).list,
			about: "Browse memories by filters, highest priority and newest first.",
			in: []property{
				namespace, tier, tag, author, since, until, whole("min_priority", ""),
				limit(`"maximum":200,"default":20`), offset, after,
			},
			out: []property{list("memories", row).must(), count, stale},
		},
		{
			name: "memory_update", title: "Update", kind: changes, run: (*Server).update,
			about: "Change or correct a memory. What is not given stays; tags and metadata are replaced whole.",
			in: []property{
				id, text("title", ""), text("content", ""), namespace, oneOf("tier", "Never goes down", `"short","mid","long"`),
				tags, priority, surety, text("expires_at", "RFC 3339; empty = never"), anyJSON("metadata", ""),
				ifMatch, key, after,
			},
			out: []property{flag("updated", "").must(), nested("memory", []property{text("id", ""), text("content", ""), text("updated_at", ""), token}).must()},
		},
		{
			name: "memory_delete", title: "Delete", kind: changes, run: (*Server).delete,
			about: "Delete or forget one memory, on all nodes, for good.",
			in:    []property{id, ifMatch, key, after},
			out:   []property{flag("deleted", "").must(), text("id", "").must(), token.must()},
		},
		{
			name: "memory_link", title: "Link", kind: adds, run: (*Server).link,
			about: "Relate one memory to another.",
			in:    []property{text("source_id", "").must(), text("target_id", "").must(), relation, key, after},
			out:   []property{flag("linked", "").must(), token},
		},
	}
}

// moreTools are listed behind the others by a server of all tools.
func moreTools() []*tool {
	return []*tool{
		{
			name: "memory_promote", title: "Promote", kind: adds, run: (*Server).promote,
			about: "Keep a memory for ever: tier long, no expiry. Or, with to_namespace, copy it up for more agents.",
			in:    []property{id, text("to_namespace", "A namespace above its own"), key, after},
			out:   []property{flag("promoted", "").must(), text("id", "").must(), text("tier", ""), text("source_id", ""), token},
		},
		{
			name: "memory_forget", title: "Forget", kind: changes, run: (*Server).forget,
			about: "Delete every memory that matches all the filters given, on all nodes. At least one is required.",
			in:    []property{text("namespace", ""), text("pattern", "Words that it contains"), tier, key, after},
			out:   []property{whole("deleted", "").must(), token},
		},
		{
			name: "memory_get_links", title: "Links", kind: reads, run: (*Server).links,
			about: "The links of a memory, in both directions.",
			in:    []property{id, after},
			out:   []property{list("links", ends).must(), count},
		},
		{
			name: "memory_consolidate", title: "Consolidate", kind: changes, run: (*Server).consolidate,
			about: "Replace several memories by one summary that you have written; the sources are deleted.",
			in: []property{
				property{name: "ids", schema: typed("array", "In full", `,"items":{"type":"string"},"minItems":2,"maxItems":100`)}.must(),
				ranged("title", "string", "", `"maxLength":512`).must(), text("summary", "").must(), namespace, tier, key, after,
			},
			out: []property{text("id", "").must(), whole("consolidated", "").must(), token},
		},
		{
			name: "memory_session_start", title: "Session start", kind: reads, run: (*Server).sessionStart,
			about: "What to know at the start of a session: a namespace's standards and its most important memories.",
			in:    []property{namespace, limit(`"maximum":50,"default":10`), after},
			out: []property{list("memories", row).must(), count, text("mode", ""), stale,
				list("standards", []property{namespace, text("standard_id", ""), text("title", ""), text("content", ""), flag("clipped", "")})},
		},
		{
			name: "memory_stats", title: "Statistics", kind: reads, run: (*Server).stats,
			about: "Counts of what this node holds, by tier and namespace.",
			in:    []property{after},
			out:   []property{whole("total", "").must()},
		},
		{
			name: "memory_capabilities", title: "Capabilities", kind: reads, run: (*Server).capabilities,
			about: "What this server can do, and which tools it lists.",
			in:    []property{oneOf("accept", "Schema; default v2", `"v1","v2","v3"`)},
			out:   []property{text("version", ""), texts("tools", "").must()},
		},
		{
			name: "memory_status", title: "Status", kind: reads, run: (*Server).status,
			about: "How this node sees the mesh: members, lag, quorum, conflicts.",
			out:   []property{text("name", ""), flag("ready", ""), texts("reasons", "")},
		},
	}
}

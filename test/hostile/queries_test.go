package hostile

import (
	"strings"
	"testing"
)

// queryRows are names of agents and parameters that are none (44, 45, 50 to 54).
func queryRows(_ *testing.T, _ *target) []row {
	two := post(good, "X-Agent-Id", "ai:a")
	two.again = map[string]string{"X-Agent-Id": "ai:b"}
	get := func(path string) request { return request{method: "GET", path: path} }
	rows := []row{
		{n: 44, name: "two", req: two},
		{n: 44, name: "the same twice", req: func() request { r := two; r.again = map[string]string{"X-Agent-Id": "ai:a"}; return r }()},
		{n: 45, name: "a space", req: post(good, "X-Agent-Id", "ai a")},
		{n: 45, name: "129 bytes", req: post(good, "X-Agent-Id", strings.Repeat("a", 129))},
		{n: 45, name: "beyond ASCII", req: post(good, "X-Agent-Id", "ai:ä")},
		{n: 45, name: "in the body", req: post(with(`"agent_id":"not an agent"`))},
		{n: 45, name: "registered", req: request{method: "POST", path: "/api/v1/agents", body: `{"agent_id":"not an agent","agent_type":"human"}`}},
		{n: 51, name: "limit=1001", req: get(memories + "?limit=1001")},
		{n: 54, name: "until", req: get(memories + "?until=garbage")},
		{n: 54, name: "a parameter twice", req: get(memories + "?since=2026-01-01T00:00:00Z&since=2026-01-01T00:00:00Z")},
		{n: 54, name: "no query", req: get(memories + "?since=%zz")},
		{n: 54, name: "after", req: get(memories + "?after=garbage")},
		{n: 54, name: "days of a purge", req: request{method: "DELETE", path: "/api/v1/archive?older_than_days=garbage"}},
	}
	for _, path := range []string{memories + "?", "/api/v1/recall?context=x&", "/api/v1/search?q=x&"} {
		rows = append(rows,
			row{n: 50, name: path, req: get(path + "limit=-1")},
			row{n: 52, name: path, req: get(path + "limit=1e9")},
			row{n: 53, name: path, req: get(path + "offset=99999999999999999999")},
			row{n: 53, name: path + " negative", req: get(path + "offset=-1")},
			row{n: 54, name: path, req: get(path + "since=garbage")},
		)
	}
	rows = append(rows,
		row{n: 50, name: "archive", req: get("/api/v1/archive?limit=-1")}, row{n: 50, name: "export", req: get("/api/v1/export?limit=-1")},
		row{n: 53, name: "archive", req: get("/api/v1/archive?offset=99999999999999999999")}, row{n: 52, name: "archive", req: get("/api/v1/archive?limit=1e9")},
	)
	for i := range rows {
		rows[i].want = catalogued(rows[i].n)
	}
	return rows
}

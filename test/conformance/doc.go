// Package conformance holds memd against the official conformance suite of MCP and its
// inspector, both at pinned versions (package.json, package-lock.json).
//
// It promises: the production binary passes every scenario that a server of tools can
// pass, in both eras of the protocol, and fails those alone that call tools of the suite's
// own (the expected-*.yml files: an unexpected pass is an error, too); a server of those
// tools behind the same HTTP door passes everything that is scored; the inspector has
// nothing to say about the schemas. And it says so if it could not look: without npm, or
// without the network, it skips and gives the reason.
//
// Run it with `make conformance`. It needs npm; Node itself is one of the packages.
package conformance

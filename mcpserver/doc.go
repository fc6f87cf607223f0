// Package mcpserver is the MCP door: the verbs of a node as tools for agents, over
// streamable HTTP and over stdio.
//
// It promises: every protocol revision that the SDK speaks is served, stateless, so any
// node of a mesh answers any request; every tool has a strict input schema, an output
// schema, all four annotations, a structured result and a compact text of the same; what
// goes wrong in a tool is a result that says what to do next; text that somebody stored is
// fenced as data and named with its author, and no stored text can close its own fence;
// answers are bounded; a retried write with the same idempotency key is one write.
//
// It does not decide anything about memories: it reads arguments, calls a Service, and
// writes down what came back. A Service is a node in the same process or a client of one;
// this package knows neither. Who may call at all (Host, Origin, the size of a body, time)
// is settled in front of it.
package mcpserver

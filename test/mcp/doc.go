// Package mcp drives a mesh of the built binary as agents do, with the client of the
// official SDK: over HTTP at every node, over stdio in front of a mesh and with a store of
// its own, in both eras of the protocol.
package mcp

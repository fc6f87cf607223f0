// Package openapi holds openapi.yaml against a real mesh: every request that a test sends
// and every answer is validated against the document, every endpoint of the document is
// called, and the document has exactly the endpoints of the router. It is a module of its
// own, so that what it validates with never comes near the program.
package openapi

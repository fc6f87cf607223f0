// Package httpapi is the HTTP door of a node: the public verbs, the sync endpoints that
// nodes and clients of the original service call, health, and metrics.
//
// It promises: an answer is always JSON except where a route says otherwise, errors
// included, in one shape {"error","code","field"}; what a client gets wrong is a 4xx
// and changes nothing, and 5xx means that this node (or its quorum) could not serve;
// every body, header and query is bounded before it is looked at; a request for a
// foreign host, from a foreign origin or with a key in its URL is refused; a handler
// that panics costs one request; Close ends every stream and waits for it.
//
// It does not decide anything about memories: it decodes, calls the node through the
// small interfaces declared here, and writes down what came back. It does not listen,
// stores nothing, and never logs what a client sent.
package httpapi

// Package trust knows who is who by certificates: it makes the small authority of a
// cluster and the certificates that it issues, reads a node's own files again when they
// change, and says whether a certificate is that of the node whose name it is shown under.
//
// A node is named by a URI in its certificate, memd://any/<node>; in place of "any" a
// cluster id binds it to that cluster. A certificate without such a URI, from an authority
// that cannot write one, names the nodes of its DNS names.
package trust

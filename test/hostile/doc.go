// Package hostile sends real nodes the catalogue of bad input (reliability.md F, rows 1 to
// 82) over real sockets and looks at the answers; after each group the node must be healthy,
// hold what it held, and have logged nothing of what it was sent.
//
// Each row is in a table of the file of its group; where a node answers something else than
// the catalogue says, the row says why that is better.
package hostile

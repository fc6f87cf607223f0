// Package memory says what a replicated record is and what the documents inside it mean.
//
// What for: it is the one place where the shape of a memory, its limits, the binary form of a record (the same bytes on disk and
// between nodes) and the rule by which two versions of a record merge are written down, together with the kinds of error that every
// door must tell apart.
//
// What it promises: Merge is commutative, associative, idempotent and inflationary on siblings and context; View is a pure function
// of the siblings; whatever a newer node wrote beside what this one understands is kept and relayed byte for byte; input that cannot
// be represented exactly is refused with a FieldError and never replaced silently.
//
// What it does not do: no I/O, no goroutines, no time of its own, no knowledge of which nodes exist. It hands out no dots and no
// stamps, it only checks that the ones it is given keep the rules.
package memory

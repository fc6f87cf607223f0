package history

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Verdict is what became of a record, or of a read.
type Verdict string

// Verdicts.
const (
	Fine        Verdict = "ok"
	Lost        Verdict = "lost"        // acknowledged and nowhere to be seen
	Stale       Verdict = "stale"       // shown in a version that is known to have been replaced
	Resurrected Verdict = "resurrected" // shown although it is known to be deleted
	Duplicated  Verdict = "duplicated"  // one record under two ids, or one intent carried out twice
	Invented    Verdict = "invented"    // shown, and nobody wrote it, or its write was refused
	Reused      Verdict = "reused"      // one dot names two writes
	Diverged    Verdict = "diverged"    // nodes that are quiet do not show the same
	Unread      Verdict = "unread"      // a node was never looked at: nothing is known of it
)

// Finding is one reason to blame the cluster.
type Finding struct {
	Verdict Verdict
	Node    string
	Key     string
	Detail  string
}

func (f Finding) String() string {
	return fmt.Sprintf("%s: node %s, key %q: %s", f.Verdict, orDash(f.Node), f.Key, f.Detail)
}

// Report is the outcome of a Check.
type Report struct {
	Acked, Unknown, Refused int // writes, all tries of one counted once
	Reads                   int
	// Nodes counts keys by what became of them on each node.
	Nodes    map[string]map[Verdict]int
	Findings []Finding
}

// Has reports whether there is a finding of that verdict.
func (r *Report) Has(v Verdict) bool {
	return slices.ContainsFunc(r.Findings, func(f Finding) bool { return f.Verdict == v })
}

// Err is nil if nothing was found, else it tells the first findings.
func (r *Report) Err() error {
	if len(r.Findings) == 0 {
		return nil
	}
	const most = 20
	var b strings.Builder
	fmt.Fprintf(&b, "%d findings", len(r.Findings))
	for i, f := range r.Findings {
		if i == most {
			fmt.Fprintf(&b, "\n  and %d more", len(r.Findings)-most)
			break
		}
		fmt.Fprintf(&b, "\n  %s", f)
	}
	return errors.New(b.String())
}

// String is one line for a report.
func (r *Report) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d writes acked, %d unknown, %d refused, %d reads", r.Acked, r.Unknown, r.Refused, r.Reads)
	for _, node := range slices.Sorted(maps.Keys(r.Nodes)) {
		fmt.Fprintf(&b, "; %s:", node)
		for _, v := range slices.Sorted(maps.Keys(r.Nodes[node])) {
			fmt.Fprintf(&b, " %d %s", r.Nodes[node][v], v)
		}
	}
	if len(r.Findings) == 0 && r.Acked > 0 {
		fmt.Fprintf(&b, "; 0 of %d lost (95 %% bound %.1e)", r.Acked, 3/float64(r.Acked))
	}
	return b.String()
}

// Check judges a history that ends quiet: all faults healed, and then an export of each
// of the named nodes. Only the last export of a node is held to be final.
func Check(ops []Op, nodes []string) *Report {
	rep := &Report{Nodes: map[string]map[Verdict]int{}}
	h, err := collect(ops)
	if err != nil {
		rep.add(Invented, "", "", "the history is not readable: %v", err)
		return rep
	}
	h.learn(ops)
	final := map[string]*Op{}
	for i := range ops {
		if ops[i].Kind == Export {
			final[ops[i].Node] = &ops[i]
		}
	}
	for _, key := range h.keys {
		r := h.of[key]
		rep.count(r)
		rep.checkReads(r, ops, h.toks)
		rep.checkIdentity(r)
	}
	rep.checkDots(ops)
	for _, node := range nodes {
		rep.checkNode(h, node, final[node])
	}
	rep.checkConvergence(nodes, final)
	return rep
}

func (r *Report) add(v Verdict, node, key, format string, args ...any) {
	r.Findings = append(r.Findings, Finding{v, node, key, fmt.Sprintf(format, args...)})
}

func (r *Report) count(rec *record) {
	for _, w := range rec.writes {
		switch w.outcome {
		case OK:
			r.Acked++
		case Unknown:
			r.Unknown++
		default:
			r.Refused++
		}
	}
	r.Reads += len(rec.reads)
}

// checkNode is the set checker: what has become of every key on one node.
func (r *Report) checkNode(h *histories, node string, final *Op) {
	counts := map[Verdict]int{}
	r.Nodes[node] = counts
	if final == nil {
		r.add(Unread, node, "", "no export of this node")
		return
	}
	rows := map[string]*Row{}
	ids := map[string]string{}
	for i := range final.Rows {
		row := &final.Rows[i]
		if other, ok := rows[row.Key]; ok {
			counts[Duplicated]++
			r.add(Duplicated, node, row.Key, "shown under the ids %s and %s", other.ID, row.ID)
		}
		if other, ok := ids[row.ID]; ok {
			counts[Duplicated]++
			r.add(Duplicated, node, row.Key, "its id %s also bears the key %q", row.ID, other)
		}
		rows[row.Key], ids[row.ID] = row, row.Key
	}
	for _, key := range h.keys {
		rec := h.of[key]
		stands := func(i int) bool { return rec.writes[i].stands }
		row, there := rows[key]
		var v Verdict
		var why string
		if there {
			v, why = rec.judgeShown(row.Value, stands)
			if v == Fine {
				v, why = rec.judgeID(row)
			}
		} else {
			v, why = rec.judgeAbsent(stands, h.toks)
		}
		counts[v]++
		if v != Fine {
			r.add(v, node, key, "at the end: %s", why)
		}
	}
}

// judgeID holds a row to the id that its writer was told.
func (r *record) judgeID(row *Row) (Verdict, string) {
	for _, i := range r.value[row.Value] {
		for _, id := range r.writes[i].ids {
			if id != row.ID {
				return Duplicated, fmt.Sprintf("answered as id %s, shown as id %s", id, row.ID)
			}
		}
	}
	return Fine, ""
}

// checkIdentity: all answers to one intent name one id and, from one node, one version.
func (r *Report) checkIdentity(rec *record) {
	for _, w := range rec.writes {
		if len(w.ids) > 1 {
			r.add(Duplicated, "", rec.key, "tries with the idempotency key %q were answered as %s", w.tries[0].Idem, strings.Join(w.ids, " and "))
		}
		dots := map[string]string{}
		one := true
		for _, t := range w.tries {
			one = one && t.Node == w.tries[0].Node
			if t.Outcome == OK && t.Dot != "" {
				dots[t.Dot] = t.Node
			}
		}
		if one && len(dots) > 1 {
			r.add(Duplicated, w.tries[0].Node, rec.key, "tries with the idempotency key %q at one node made the versions %s",
				w.tries[0].Idem, strings.Join(slices.Sorted(maps.Keys(dots)), " and "))
		}
	}
}

// checkDots: a dot names one write for ever.
func (r *Report) checkDots(ops []Op) {
	type said struct{ key, value string }
	owner := map[string]said{}
	for i := range ops {
		op := &ops[i]
		if !op.write() || op.Dot == "" || op.Outcome == Refused {
			continue
		}
		s := said{op.Key, string(op.Kind) + " " + op.Value}
		if op.Kind != Delete { // an add that finds its own content is answered with what is there
			s.value = op.Value
		}
		if first, ok := owner[op.Dot]; ok && first != s {
			r.add(Reused, op.Node, op.Key, "dot %s names %s here and %s of %q before", op.Dot, s.value, first.value, first.key)
			continue
		}
		owner[op.Dot] = s
	}
}

// checkReads judges single reads: by their token, and by what their node had shown.
func (r *Report) checkReads(rec *record, ops []Op, toks tokens) {
	var faults []*Op
	for i := range ops {
		if ops[i].Kind == Fault && ops[i].Note == Rollback {
			faults = append(faults, &ops[i])
		}
	}
	for _, op := range rec.reads {
		known := func(i int) bool {
			if toks.covers(op.After, rec.writes[i].dots) {
				return true
			}
			return slices.ContainsFunc(rec.known, func(k knowledge) bool {
				return k.write == i && k.served && k.node == op.Node && k.end < op.Start && !forgets(faults, k, op.End)
			})
		}
		var v Verdict
		var why string
		switch op.Outcome {
		case OK:
			v, why = rec.judgeShown(op.Value, known)
		case Absent:
			if v, why = rec.judgeAbsent(known, toks); v == Lost {
				v = Stale // it may come yet
			}
		default:
			continue
		}
		if v != Fine {
			r.add(v, op.Node, rec.key, "read at %.3f s, after %s: %s", float64(op.Start)/1e9, orDash(op.After), why)
		}
	}
}

// checkConvergence: nodes that are quiet show the same, and say so themselves.
func (r *Report) checkConvergence(nodes []string, final map[string]*Op) {
	var first *Op
	for _, node := range nodes {
		e := final[node]
		if e == nil {
			continue
		}
		if first == nil {
			first = e
			continue
		}
		if e.Digest != first.Digest {
			r.add(Diverged, node, "", "digest %s, that of %s is %s", e.Digest, first.Node, first.Digest)
		}
		a, b := sorted(first.Rows), sorted(e.Rows)
		for len(a) > 0 || len(b) > 0 {
			switch {
			case len(b) == 0 || len(a) > 0 && a[0].ID < b[0].ID:
				r.add(Diverged, node, a[0].Key, "is shown by %s only", first.Node)
				a = a[1:]
			case len(a) == 0 || a[0].ID > b[0].ID:
				r.add(Diverged, node, b[0].Key, "is not shown by %s", first.Node)
				b = b[1:]
			default:
				if a[0].Body != b[0].Body {
					r.add(Diverged, node, a[0].Key, "is another record than at %s", first.Node)
				}
				a, b = a[1:], b[1:]
			}
		}
	}
}

func sorted(rows []Row) []Row {
	return slices.SortedFunc(slices.Values(rows), func(a, b Row) int { return cmp.Compare(a.ID, b.ID) })
}

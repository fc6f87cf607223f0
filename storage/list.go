package storage

import (
	"bytes"
	"container/heap"
	"errors"
	"iter"

	bolt "go.etcd.io/bbolt"

	"github.com/memd/memd/memory"
)

// Item is one memory of a list.
type Item struct {
	Key    memory.Key
	Record memory.Record
	View   memory.View // live
	Local  Local

	doc *memory.Memory
}

// Memory decodes the winner's document, with the access statistics of this node.
func (it *Item) Memory() (memory.Memory, error) {
	if it.doc == nil {
		doc, err := memory.DecodeMemory(it.Key, it.View.Winner.Value)
		if err != nil {
			return memory.Memory{}, &CorruptError{Key: it.Key, Reason: err.Error()}
		}
		doc.AccessCount, doc.LastAccessedAt = it.Local.AccessCount, it.Local.LastAccessedAt
		it.doc = &doc
	}
	return *it.doc, nil
}

// List yields the live, unexpired memories that pass the filter, by priority and then
// update time, both descending, between the filter's Offset and Limit. Only what is
// yielded, or must be read to be judged, is read. A row that fails its checksum is yielded
// as an error in its place; the list goes on behind it.
func (tx *Tx) List(f memory.Filter) iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		now := tx.s.cfg.Now()
		skip, left := f.Offset, f.Limit
		ranges, err := tx.ranges(&f)
		if err != nil {
			yield(Item{}, err)
			return
		}
		// What the index alone decides needs no row.
		judged := f.Tier == "" && f.AgentID == "" && f.Since.IsZero() && f.Until.IsZero()
		for left > 0 {
			key, value, ok := ranges.next()
			if !ok {
				return
			}
			if expired(value, now) {
				continue
			}
			if judged && skip > 0 && tx.guard == nil {
				skip--
				continue
			}
			it, pass, err := tx.item(key, &f, judged)
			if err == nil && !pass {
				continue
			}
			if skip > 0 {
				skip--
				continue
			}
			left--
			if !yield(it, err) {
				return
			}
		}
	}
}

// item reads one memory of a list and judges it.
func (tx *Tx) item(key memory.Key, f *memory.Filter, judged bool) (it Item, pass bool, err error) {
	k := []byte(key)
	it.Key = key
	seq, found := uint64(0), false
	if it.Record, seq, found, err = tx.read(k); err == nil && !found {
		err = &CorruptError{Key: key, Reason: "listed and not there"}
	}
	if err != nil {
		return Item{Key: key}, true, err
	}
	it.View, it.Local = it.Record.ViewWith(tx.s.mutants), tx.local(k, seq)
	if !it.View.Live {
		return Item{Key: key}, true, &CorruptError{Key: key, Reason: "listed and not live"}
	}
	if !tx.visible(&it.Record) {
		return Item{Key: key}, false, nil
	}
	if judged {
		return it, true, nil
	}
	doc, err := it.Memory()
	if err != nil {
		return it, true, err
	}
	return it, f.Match(&doc), nil
}

// listRange is one namespace's part of an index, in list order.
type listRange struct {
	cur    *bolt.Cursor
	prefix []byte
	suffix []byte // of the current entry, behind the prefix
	value  []byte
}

func (r *listRange) load(k, v []byte) bool {
	if k == nil || !bytes.HasPrefix(k, r.prefix) || len(k) <= len(r.prefix)+orderSuffix {
		return false
	}
	r.suffix, r.value = k[len(r.prefix):], v
	return true
}

// listRanges merges them: the heap's top is next in list order.
type listRanges struct {
	heap  rangeHeap
	worst byte // the greatest inverted priority that is wanted
}

// settle makes what earlier operations of the transaction wrote visible to the cursors.
func (tx *Tx) settle() error {
	if tx.w == nil {
		return nil
	}
	return errors.Join(tx.w.ix.flushAll(), tx.w.ix.writeCounts(tx.btx))
}

// ranges opens the index ranges that hold what the filter can match.
func (tx *Tx) ranges(f *memory.Filter) (*listRanges, error) {
	if err := tx.settle(); err != nil {
		return nil, err
	}
	out := &listRanges{worst: invertPriority(f.MinPriority)}
	add := func(ns string) {
		if tx.guard != nil && !tx.guard.Namespace(ns) {
			return
		}
		if f.Tag != "" {
			out.add(tx.btx.Bucket(bucketTags), tagPrefix(indexText(f.Tag), ns))
		} else {
			out.add(tx.btx.Bucket(bucketOrder), namespacePrefix(ns))
		}
	}
	if f.Namespace != "" {
		add(indexText(f.Namespace))
	} else {
		tx.eachCount(countNamespace, func(ns string, _ int64) { add(ns) })
	}
	heap.Init(&out.heap)
	return out, nil
}

// add puts in the range of a prefix, unless it is empty. heap.Init makes it count.
func (l *listRanges) add(b *bolt.Bucket, prefix []byte) {
	r := &listRange{prefix: prefix, cur: b.Cursor()}
	if r.load(r.cur.Seek(prefix)) {
		l.heap = append(l.heap, r)
	}
}

// next is the next entry in list order. value is valid until the following call.
func (l *listRanges) next() (key memory.Key, value []byte, ok bool) {
	if len(l.heap) == 0 {
		return "", nil, false
	}
	r := l.heap[0]
	if r.suffix[0] > l.worst {
		return "", nil, false // the best of all ranges is below the least priority
	}
	key, value = memory.Key(r.suffix[orderSuffix:]), r.value
	if r.load(r.cur.Next()) {
		heap.Fix(&l.heap, 0)
	} else {
		heap.Pop(&l.heap)
	}
	return key, value, true
}

type rangeHeap []*listRange

func (h rangeHeap) Len() int           { return len(h) }
func (h rangeHeap) Less(i, j int) bool { return bytes.Compare(h[i].suffix, h[j].suffix) < 0 }
func (h rangeHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *rangeHeap) Push(x any)        { *h = append(*h, x.(*listRange)) }
func (h *rangeHeap) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}

// eachCount yields the counters of a group in order of name, without the group's letter.
func (tx *Tx) eachCount(group string, yield func(name string, n int64)) {
	cur := tx.btx.Bucket(bucketCounts).Cursor()
	prefix := []byte(group)
	for k, v := cur.Seek(prefix); k != nil && bytes.HasPrefix(k, prefix); k, v = cur.Next() {
		yield(string(k[len(prefix):]), readCount(v))
	}
}

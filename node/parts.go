package node

import (
	"context"
	"errors"

	"github.com/memd/memd/httpapi"
	"github.com/memd/memd/memory"
	"github.com/memd/memd/storage"
)

const (
	// partKeys are changed with one write, by the verbs that change many records: more would
	// hold up every other writer.
	partKeys = 100
	// sweepChunk entries of an index are looked at in one transaction.
	sweepChunk = 20_000
)

// inParts runs fn over keys, a part with every write. fn counts what it took away. After
// an error the parts before it stand.
func (n *Node) inParts(ctx context.Context, w int, keys []memory.Key, fn func(tx *storage.Tx, part []memory.Key) (int, error)) (httpapi.Removed, error) {
	var sum httpapi.Removed
	for len(keys) > 0 {
		part := keys[:min(partKeys, len(keys))]
		keys = keys[len(part):]
		count := 0
		res, err := n.change(ctx, w, func(tx *storage.Tx) (err error) {
			if count, err = fn(tx, part); err == nil && count == 0 {
				err = errNoop
			}
			return err
		})
		if errors.Is(err, errNoop) {
			continue
		}
		if err != nil {
			return sum, err
		}
		if res.held != nil {
			count = 0
		}
		merge(&sum, httpapi.Removed{Count: count, Token: res.token, Acks: res.acks})
	}
	return sum, nil
}

// sweepChunks asks for keys and removes them until there are none, or none that can go.
func (n *Node) sweepChunks(next func() ([]memory.Key, error), remove func([]memory.Key) (httpapi.Removed, error)) (httpapi.Removed, error) {
	var sum httpapi.Removed
	for {
		keys, err := next()
		if err != nil || len(keys) == 0 {
			return sum, err
		}
		part, err := remove(keys)
		merge(&sum, part)
		if err != nil || part.Count == 0 || len(keys) < sweepChunk {
			return sum, err
		}
	}
}

func merge(sum *httpapi.Removed, part httpapi.Removed) {
	sum.Count += part.Count
	sum.Archived += part.Archived
	sum.Token.Union(part.Token)
	if part.Acks > 0 && (sum.Acks == 0 || part.Acks < sum.Acks) {
		sum.Acks = part.Acks
	}
}

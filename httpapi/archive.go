package httpapi

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/memd/memd/clock"
	"github.com/memd/memd/memory"
)

// Archivist keeps memories that were put aside: whole, found by nobody who does not ask
// for them. There is one for an id; the latest stays.
type Archivist interface {
	// Archive puts memories aside, each with its delete in one transaction of the store.
	// Ids that are not there are reported. Ids are in full. Errors: *memory.FieldError.
	Archive(ctx context.Context, ids []string, reason string, opt WriteOptions) (Archived, error)
	// Archived lists what was put aside, the latest first, each rendered as a memory with
	// archived_at and archive_reason.
	Archived(context.Context, ArchivePage, ReadOptions) ([][]byte, error)
	// Restore brings a memory back as it was, but updated now; if it has expired meanwhile
	// its tier's time begins anew. Errors: memory.ErrNotArchived, *memory.ConflictError (it
	// lives, or its title does).
	Restore(ctx context.Context, id string, opt WriteOptions) (Restored, error)
	// Discard removes one for good. Errors: memory.ErrNotArchived.
	Discard(ctx context.Context, id string, opt WriteOptions) (Deleted, error)
	// Purge removes all that are older than an age; 0 = all. It works in parts, as Forget.
	Purge(ctx context.Context, olderThan time.Duration, opt WriteOptions) (Removed, error)
	ArchiveStats(context.Context, ReadOptions) (ArchiveStats, error)
}

// ArchivePage is which part of the archive is wanted.
type ArchivePage struct {
	Namespace     string // "" = all
	Limit, Offset int
}

// Archived is the answer to Archive.
type Archived struct {
	IDs     []string // put aside, in the order of the request
	Missing []string // not there
	Token   clock.Clock
	Acks    int // the least of all writes; 0 = there was none
}

// Restored is the answer to Restore.
type Restored struct {
	ID    string
	Dot   clock.Dot
	Token clock.Clock
	Acks  int
}

// ArchiveStats is the body of GET /api/v1/archive/stats.
type ArchiveStats struct {
	Total       int64            `json:"archived_total"`
	ByNamespace []NamespaceCount `json:"by_namespace"`
}

const (
	defaultArchived = 50
	maxArchived     = 1000
	maxPurgeDays    = 36_500
)

func (c *call) archive() error {
	body, err := c.jsonBody()
	if err != nil {
		return err
	}
	var in struct {
		IDs    []string `json:"ids"`
		Reason *string  `json:"reason"`
	}
	if err := memory.ParseJSON(body, &in); err != nil {
		return err
	}
	if err := memory.ValidateIDs(in.IDs, 1, memory.MaxBulk); err != nil {
		return err
	}
	reason := or(in.Reason)
	if reason == "" {
		reason = memory.ReasonArchived
	}
	if err := memory.ValidateReason(reason); err != nil {
		return err
	}
	opt, err := c.writeOptions(body)
	if err != nil {
		return err
	}
	res, err := c.door.Node.Archive(c.context(), in.IDs, reason, opt)
	if err != nil {
		return err
	}
	b := append(c.output(), `{"archived":`...)
	b = appendStrings(b, res.IDs)
	b = append(b, `,"missing":`...)
	b = appendStrings(b, res.Missing)
	b = append(b, `,"count":`...)
	b = strconv.AppendInt(b, int64(len(res.IDs)), 10)
	b = append(b, `,"reason":`...)
	b = memory.AppendString(b, reason)
	b = appendWrite(b, clock.Dot{}, res.Acks, res.Token)
	return c.json(http.StatusOK, append(b, '}'))
}

func (c *call) archived() error {
	p, err := c.archivePage()
	if err != nil {
		return err
	}
	opt, err := c.readOptions()
	if err != nil {
		return err
	}
	rows, err := c.door.Node.Archived(c.context(), p, opt)
	if err != nil {
		return err
	}
	b := append(c.output(), `{"archived":[`...)
	for i := range rows {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, rows[i]...)
	}
	b = append(b, `],"count":`...)
	b = strconv.AppendInt(b, int64(len(rows)), 10)
	return c.json(http.StatusOK, append(b, '}'))
}

func (c *call) archivePage() (p ArchivePage, err error) {
	if p.Namespace, err = c.one("namespace"); err != nil {
		return p, err
	}
	if p.Namespace != "" {
		if err := memory.ValidateNamespace(p.Namespace); err != nil {
			return p, err
		}
	}
	p.Limit = defaultArchived
	s, err := c.one("limit")
	if err == nil && s != "" {
		p.Limit, err = memory.ParseLimit("limit", s, maxArchived)
	}
	if err == nil && p.Limit == 0 {
		err = invalid("limit", "must be from 1 to "+strconv.Itoa(maxArchived))
	}
	if err != nil {
		return p, err
	}
	p.Offset, err = c.whole("offset", 0, 0)
	return p, err
}

func (c *call) purge() error {
	days, err := c.whole("older_than_days", 0, 0)
	if err != nil {
		return err
	}
	opt, err := c.writeOptions(nil)
	if err != nil {
		return err
	}
	res, err := c.door.Node.Purge(c.context(), time.Duration(min(days, maxPurgeDays))*24*time.Hour, opt)
	if err != nil {
		return err
	}
	b := append(c.output(), `{"purged":`...)
	b = strconv.AppendInt(b, int64(res.Count), 10)
	b = appendWrite(b, clock.Dot{}, res.Acks, res.Token)
	return c.json(http.StatusOK, append(b, '}'))
}

func (c *call) restore() error {
	res, err := writeOne(c, c.writeOptions, c.door.Node.Restore)
	if err != nil {
		return err
	}
	b := append(c.output(), `{"restored":true,"id":`...)
	b = memory.AppendString(b, res.ID)
	b = appendWrite(b, res.Dot, res.Acks, res.Token)
	return c.json(http.StatusOK, append(b, '}'))
}

func (c *call) discard() error {
	res, err := writeOne(c, c.writeOptions, c.door.Node.Discard)
	if err != nil {
		return err
	}
	b := append(c.output(), `{"deleted":true,"id":`...)
	b = memory.AppendString(b, res.ID)
	b = appendWrite(b, res.Dot, res.Acks, res.Token)
	return c.json(http.StatusOK, append(b, '}'))
}

func (c *call) archiveStats() error {
	opt, err := c.readOptions()
	if err != nil {
		return err
	}
	res, err := c.door.Node.ArchiveStats(c.context(), opt)
	if err != nil {
		return err
	}
	return c.encode(res)
}

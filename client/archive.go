package client

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/memd/memd/memory"
)

// ArchivedMemory is one memory that was put aside.
type ArchivedMemory struct {
	Memory
	ArchivedAt    time.Time `json:"archived_at"`
	ArchiveReason string    `json:"archive_reason"`
}

// Archived is the answer to Archive. Its Dot is empty.
type Archived struct {
	IDs     []string `json:"archived"`
	Missing []string `json:"missing"`
	Reason  string   `json:"reason"`
	Written
}

// Restored is the answer to Restore.
type Restored struct {
	ID string `json:"id"`
	Written
}

// Purged is the answer to Purge. Its Dot is empty.
type Purged struct {
	Purged int `json:"purged"`
	Written
}

// ArchiveStats count what is in the archive.
type ArchiveStats struct {
	Total       int64            `json:"archived_total"`
	ByNamespace []NamespaceCount `json:"by_namespace"`
}

// ArchivePage is which part of the archive is wanted.
type ArchivePage struct {
	Namespace     string // "" = all
	Limit, Offset int    // Limit 0 = the server's default
}

const pathArchive = "/api/v1/archive"

// Archive puts memories aside, with the reason or, if that is "", the server's. Ids are in
// full; those that are not there are reported in Missing.
func (c *Client) Archive(ctx context.Context, ids []string, reason string, opt WriteOptions) (*Archived, error) {
	body := struct {
		IDs    []string `json:"ids"`
		Reason string   `json:"reason,omitzero"`
	}{ids, reason}
	r, err := c.write(http.MethodPost, pathArchive, body, opt)
	if err != nil {
		return nil, err
	}
	return call[Archived](ctx, c, r)
}

// Archived lists what was put aside, the latest first.
func (c *Client) Archived(ctx context.Context, p ArchivePage, opt ReadOptions) ([]ArchivedMemory, error) {
	q := opt.values()
	if p.Namespace != "" {
		q.Set("namespace", p.Namespace)
	}
	if p.Limit != 0 {
		q.Set("limit", strconv.Itoa(p.Limit))
	}
	if p.Offset != 0 {
		q.Set("offset", strconv.Itoa(p.Offset))
	}
	// Their tags come as a string of JSON: so did the original's.
	type row struct {
		ArchivedMemory
		Tags string `json:"tags"`
	}
	got, err := call[struct {
		Archived []row `json:"archived"`
	}](ctx, c, request{method: http.MethodGet, path: pathArchive, query: q})
	if err != nil {
		return nil, err
	}
	out := make([]ArchivedMemory, len(got.Archived))
	for i, r := range got.Archived {
		out[i] = r.ArchivedMemory
		if err := memory.ParseJSON([]byte(r.Tags), &out[i].Tags); err != nil {
			return nil, errAnswer
		}
	}
	return out, nil
}

// Restore brings a memory back from the archive. Errors as Store; memory.ErrNotArchived,
// *memory.ConflictError (it lives, or its title does).
func (c *Client) Restore(ctx context.Context, id string, opt WriteOptions) (*Restored, error) {
	r, err := c.write(http.MethodPost, pathArchived(id)+"/restore", nil, opt)
	if err != nil {
		return nil, err
	}
	return call[Restored](ctx, c, r)
}

// Discard removes one memory from the archive for good. Errors: memory.ErrNotArchived.
func (c *Client) Discard(ctx context.Context, id string, opt WriteOptions) (*Deleted, error) {
	r, err := c.write(http.MethodDelete, pathArchived(id), nil, opt)
	if err != nil {
		return nil, err
	}
	return call[Deleted](ctx, c, r)
}

// Purge removes what was put aside more than so many days ago; 0 = everything.
func (c *Client) Purge(ctx context.Context, olderThanDays int, opt WriteOptions) (*Purged, error) {
	r, err := c.write(http.MethodDelete, pathArchive, nil, opt)
	if err != nil {
		return nil, err
	}
	r.query.Set("older_than_days", strconv.Itoa(olderThanDays))
	return call[Purged](ctx, c, r)
}

// ArchiveStats counts what is in the archive.
func (c *Client) ArchiveStats(ctx context.Context, opt ReadOptions) (*ArchiveStats, error) {
	return call[ArchiveStats](ctx, c, request{method: http.MethodGet, path: pathArchive + "/stats", query: opt.values()})
}

func pathArchived(id string) string { return pathArchive + "/" + url.PathEscape(id) }

package httpapi

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"
)

// Keeper gives out copies of everything that a node holds.
type Keeper interface {
	// Backup makes a copy of the store as of one moment. Errors: memory.ErrUnavailable (one
	// is being taken), memory.ErrNoSpace, memory.ErrStopped.
	Backup(context.Context) (*Backup, error)
}

// Backup is a copy that lies on the node's disk until it is closed.
type Backup struct {
	io.Reader
	Size  int64 // bytes that Reader has
	Close func() error
}

// MediaBackup is what a backup is sent as; package node describes what is in it.
const MediaBackup = "application/vnd.memd.backup"

// A client that takes less than a part in this time is gone.
const (
	backupPart     = 1 << 20
	backupPatience = 30 * time.Second
)

// backup streams the copy. It has no deadline as a whole, but one for every part; the copy is
// made before, so that a slow client keeps no transaction open.
func (c *call) backup() error {
	deadline := http.NewResponseController(c)
	move := func(d time.Duration) { _ = deadline.SetWriteDeadline(time.Now().Add(d)) }
	move(maxCopy)
	b, err := c.door.Node.Backup(c.r.Context())
	if err != nil {
		move(backupPatience)
		return err
	}
	defer func() {
		if err := b.Close(); err != nil {
			c.door.Log.Warn("the copy of a backup could not be removed", "err", err)
		}
	}()
	h := c.Header()
	h.Set("Content-Type", MediaBackup)
	h.Set("Content-Length", strconv.FormatInt(b.Size, 10))
	for {
		move(backupPatience)
		_, err := io.CopyN(c, b, backupPart)
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			c.door.Log.Warn("backup was cut off", "err", err)
			panic(http.ErrAbortHandler) // what went out must not look like a whole one
		}
	}
}

// maxCopy is how long the copy on the node's disk may take: 100 GB at 30 MB/s.
const maxCopy = time.Hour

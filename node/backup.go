package node

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/memd/memd/auth"
	"github.com/memd/memd/httpapi"
	"github.com/memd/memd/memory"
	"github.com/memd/memd/storage"
)

// BackupInfo stands before the data file in a backup, as one line of JSON behind backupMagic.
type BackupInfo struct {
	Node    string    `json:"node"`
	Cluster string    `json:"cluster"`
	Version string    `json:"version"`
	Format  int       `json:"format"` // of the data file
	TakenAt time.Time `json:"taken_at"`
	Bytes   int64     `json:"bytes"`  // of the data file, which is the rest
	SHA256  string    `json:"sha256"` // of the data file
}

const (
	backupMagic   = "memd-backup-1 "
	maxBackupInfo = 64 << 10
)

// ErrBackup is a file that is no backup, or is not the whole of it.
var ErrBackup = errors.New("not a sound backup")

// Backup copies the store as of one transaction. One at a time: each needs the disk. It
// holds every namespace, so it is nothing for whoever is kept from one.
func (n *Node) Backup(ctx context.Context) (*httpapi.Backup, error) {
	if _, err := n.guard(ctx); err != nil {
		return nil, err
	}
	if p, _ := auth.From(ctx); !p.Everywhere() {
		return nil, fmt.Errorf("%w: a backup holds every namespace", memory.ErrForbidden)
	}
	if !n.backingUp.CompareAndSwap(false, true) {
		return nil, fmt.Errorf("%w: a backup is being taken", memory.ErrUnavailable)
	}
	done := func() error { n.backingUp.Store(false); return nil }
	began := time.Now()
	sum := sha256.New()
	f, size, closeFile, err := n.store.SnapshotFile(sum)
	if err != nil {
		return nil, errors.Join(err, done())
	}
	info, err := json.Marshal(BackupInfo{
		Node: n.cfg.Name, Cluster: n.store.Cluster().String(), Version: n.cfg.Version, Format: storage.Format,
		TakenAt: n.now().UTC(), Bytes: size, SHA256: hex.EncodeToString(sum.Sum(nil)),
	})
	if err != nil {
		return nil, errors.Join(err, closeFile(), done())
	}
	head := append(append([]byte(backupMagic), info...), '\n')
	if err := ctx.Err(); err != nil { // whoever asked is gone
		return nil, errors.Join(err, closeFile(), done())
	}
	n.log.Info("backup", "bytes", size, "took", time.Since(began))
	return &httpapi.Backup{
		Reader: io.MultiReader(bytes.NewReader(head), f), Size: int64(len(head)) + size,
		Close: func() error { return errors.Join(closeFile(), done()) },
	}, nil
}

// CheckBackup reads a backup to its end and says what it is.
func CheckBackup(path string) (BackupInfo, error) {
	f, err := os.Open(path)
	if err != nil {
		return BackupInfo{}, err
	}
	defer f.Close()
	return readBackup(f, io.Discard)
}

// readBackup copies the data file of a backup to w, and fails unless it is the one that was
// taken, to the last byte.
func readBackup(r io.Reader, w io.Writer) (info BackupInfo, err error) {
	var head []byte
	one := make([]byte, 1) // what comes behind the line is not to be buffered here
	for len(head) == 0 || head[len(head)-1] != '\n' {
		if _, err := io.ReadFull(r, one); err != nil {
			return info, fmt.Errorf("%w: no header: %w", ErrBackup, err)
		}
		if head = append(head, one[0]); len(head) > maxBackupInfo || len(head) <= len(backupMagic) && !strings.HasPrefix(backupMagic, string(head)) {
			return info, fmt.Errorf("%w: it does not begin as one", ErrBackup)
		}
	}
	if err := json.Unmarshal(head[len(backupMagic):], &info); err != nil || info.Bytes <= 0 {
		return info, fmt.Errorf("%w: its header cannot be read", ErrBackup)
	}
	if info.Format != storage.Format {
		return info, fmt.Errorf("%w: format %d, this version reads %d: use the version of memd that wrote it (%s)", ErrBackup, info.Format, storage.Format, info.Version)
	}
	sum := sha256.New()
	n, err := io.Copy(io.MultiWriter(w, sum), io.LimitReader(r, info.Bytes))
	switch {
	case err != nil:
		return info, err
	case n < info.Bytes:
		return info, fmt.Errorf("%w: it ends after %d of %d bytes", ErrBackup, n, info.Bytes)
	case hex.EncodeToString(sum.Sum(nil)) != info.SHA256:
		return info, fmt.Errorf("%w: the checksum does not match", ErrBackup)
	}
	if n, err := r.Read(one); n > 0 || !errors.Is(err, io.EOF) {
		return info, fmt.Errorf("%w: there is more than was taken", ErrBackup)
	}
	return info, nil
}

// Restore makes a store of a backup in dir, which must be empty or not there. It is checked
// as by Verify before it stands there; the findings say why it does not. A node that starts
// on it mints an origin of its own, as at every start, so that no dot is given twice.
func Restore(ctx context.Context, path, dir string) (info BackupInfo, findings []string, err error) {
	f, err := os.Open(path)
	if err != nil {
		return info, nil, err
	}
	defer f.Close()
	found, err := storage.Install(ctx, dir, func(w io.Writer) (err error) {
		info, err = readBackup(f, w)
		return err
	})
	return info, texts(found), err
}

// Compact copies the store in dir, of a node that does not run, without its free pages.
func Compact(ctx context.Context, dir string) (before, after int64, findings []string, err error) {
	before, after, found, err := storage.Compact(ctx, dir)
	return before, after, texts(found), err
}

package node

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/memd/memd/httpapi"
	"github.com/memd/memd/storage"
)

// DiagnoseDir looks at a data directory from outside, whether its node runs or not. A store
// whose node does not run is checked by Verify.
func DiagnoseDir(dir string) []httpapi.Finding {
	j := judgement{findings: []httpapi.Finding{}}
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, os.ErrNotExist):
		j.say(severityWarning, "store", "", dir+" is not there", "nothing, if the node has never run here; else correct data-dir, or restore a backup")
		return j.findings
	case err != nil:
		j.say(severityError, "store", "", err.Error(), "look at the disk, its mount and the rights of the directory")
		return j.findings
	case !info.IsDir():
		j.say(severityError, "store", "", dir+" is not a directory", "correct data-dir")
		return j.findings
	}
	f := facts{dirMode: info.Mode().Perm()}
	if f.free, f.freeErr = storage.FreeBytes(dir); f.freeErr == nil {
		if info, err := os.Stat(filepath.Join(dir, storage.DataFile)); err == nil {
			f.size = info.Size()
		}
	}
	f.fsync, f.fsyncErr = fsyncTime(dir)
	j.disk(f)
	found, err := Verify(dir)
	switch {
	case errors.Is(err, ErrLocked): // its node runs, and looks after it
	case errors.Is(err, os.ErrNotExist):
		if _, lost := os.Lstat(filepath.Join(dir, storage.MarkerFile)); lost == nil {
			j.say(severityError, "store", "", storage.DataFile+" is gone, and "+storage.MarkerFile+" says that a store has been here: the node does not start",
				"restore a backup, or remove "+storage.MarkerFile+" to join as a new, empty node")
		}
	case err != nil:
		j.say(severityError, "store", "", err.Error(), "move the directory away and start the node with an empty one: it gets everything from the others; or restore a backup")
	}
	for _, text := range found {
		j.say(severityError, "store", "", text, fmt.Sprintf("keep %s for a report, and start the node with an empty one", dir))
	}
	return j.findings
}

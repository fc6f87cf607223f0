package node

import (
	"errors"

	"github.com/memd/memd/storage"
)

// ErrConfig marks an error of New that lies in the configuration, not in the machine.
var ErrConfig = errors.New("configuration")

// ErrLocked marks an error of New: another process has the data directory open.
var ErrLocked = storage.ErrLocked

package node

import "errors"

// ErrConfig marks an error of New that lies in the configuration, not in the machine.
var ErrConfig = errors.New("configuration")

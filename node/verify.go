package node

import (
	"context"

	"github.com/memd/memd/storage"
	"github.com/memd/memd/wire"
)

// Protocol is the version of what nodes say to each other.
const Protocol = wire.Proto

// DataFormat is the version of the data file.
const DataFormat = storage.Format

// Verify checks every invariant of a store that can be checked while its node does not
// run, and says what is wrong in words for people. An error means that it could not be
// looked at, above all that a running node has it locked.
func Verify(dir string) ([]string, error) {
	found, err := storage.VerifyFile(context.Background(), dir)
	return texts(found), err
}

func texts(found []storage.Finding) []string {
	var out []string
	for _, f := range found {
		out = append(out, f.String())
	}
	return out
}

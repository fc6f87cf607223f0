//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"golang.org/x/sys/unix"
)

// keyboard says that single keys can be read on this system.
const keyboard = true

// readKeys sends what is typed until ctx ends. It waits with select, a tenth of a second at
// a time, because a read of a terminal cannot be interrupted.
func readKeys(ctx context.Context, fd int, keys chan<- byte) error {
	buf := make([]byte, 64)
	for ctx.Err() == nil {
		var set unix.FdSet
		set.Set(fd)
		tenth := unix.NsecToTimeval(100e6)
		n, err := unix.Select(fd+1, &set, nil, nil, &tenth)
		if errors.Is(err, unix.EINTR) || err == nil && n == 0 {
			continue
		}
		if err == nil {
			n, err = unix.Read(fd, buf)
		}
		if err == nil && n == 0 {
			err = io.EOF
		}
		if err != nil {
			return fmt.Errorf("the terminal is gone: %w", err)
		}
		for _, b := range buf[:n] {
			select {
			case keys <- b:
			case <-ctx.Done():
				return nil
			}
		}
	}
	return nil
}

//go:build unix

package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// onHangup calls act with every SIGHUP until ctx ends.
func onHangup(ctx context.Context, act func()) {
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGHUP)
	defer signal.Stop(c)
	for {
		select {
		case <-c:
			act()
		case <-ctx.Done():
			return
		}
	}
}

package main

import (
	"fmt"
	"runtime/debug"

	"golang.org/x/sync/errgroup"
)

// safely runs fn in the group and makes a panic of it an error: the processes of a mesh
// and the terminal have to be put in order before this one ends.
func safely(g *errgroup.Group, fn func() error) {
	g.Go(func() (err error) {
		defer func() {
			if p := recover(); p != nil {
				err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
			}
		}()
		return fn()
	})
}

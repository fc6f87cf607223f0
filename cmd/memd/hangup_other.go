//go:build !unix

package main

import "context"

// onHangup has nothing to wait for: there is no SIGHUP here.
func onHangup(context.Context, func()) {}

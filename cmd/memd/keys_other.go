//go:build !unix

package main

import "context"

const keyboard = false

func readKeys(context.Context, int, chan<- byte) error { return nil }

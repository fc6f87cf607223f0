// Package cli holds the command line of memd against scripts: the binary as it is built,
// against nodes that are started in the script. It is a module of its own, since what runs
// the scripts is needed by nothing else:
//
//	make cli                          # all scripts
//	go test ./... -update             # write what was printed into the scripts; read the diff
package cli

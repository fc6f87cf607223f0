package main

import (
	"errors"
	"fmt"
	"log/slog"

	"github.com/spf13/pflag"

	"github.com/memd/memd/auth"
)

// keyFlags are the two ways to give one API key. On the command line everybody on the
// machine can read it: the file and the environment are for what must stay secret.
type keyFlags struct {
	key  string
	file string
	from string // the file that key was read from
}

const flagAPIKey, flagAPIKeyFile = "api-key", "api-key-file"

func (k *keyFlags) register(f *pflag.FlagSet, about string) {
	f.StringVar(&k.key, flagAPIKey, "", about)
	f.StringVar(&k.file, flagAPIKeyFile, "", "file that holds this one key")
}

// read settles the key. An error says nothing of it.
func (k *keyFlags) read() (err error) {
	switch {
	case k.key != "" && k.file != "":
		return errors.New("--api-key and --api-key-file: want one of them")
	case k.file != "":
		if k.key, err = auth.ReadKeyFile(k.file); err != nil {
			return fmt.Errorf("--api-key-file: %w", err)
		}
		k.from, k.file = k.file, ""
	case k.key != "":
		if err = auth.CheckKey(k.key); err != nil {
			return fmt.Errorf("--api-key: %w", err)
		}
	}
	return nil
}

// peerKeyFile is where another key for peers may come from while the node runs; "" if the one
// key is also the one that requests are asked for.
func (c *serveConfig) peerKeyFile() string {
	if c.keysFile == "" {
		return ""
	}
	return c.key.from
}

// keys are what requests are asked for; nil = nothing.
func (c *serveConfig) keys(log *slog.Logger) (*auth.Keys, error) {
	if !c.hasKey() {
		return nil, nil
	}
	k, err := auth.Open(auth.Config{Key: c.key.key, File: c.keysFile, Log: log})
	if err != nil {
		return nil, &usageError{err}
	}
	return k, nil
}

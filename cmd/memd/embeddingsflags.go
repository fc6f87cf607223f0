package main

import (
	"fmt"

	"github.com/spf13/pflag"

	"github.com/memd/memd/auth"
)

// embeddingsFlags name the endpoint by which recall goes by meaning, too. Its key is only
// taken from a file.
type embeddingsFlags struct {
	url, model string
	keyFile    string
	key        string // that keyFile holds
}

func (e *embeddingsFlags) register(f *pflag.FlagSet) {
	f.StringVar(&e.url, "embeddings-url", "", "OpenAI-compatible endpoint (http or https, with or without /v1) that the texts of all memories and recalls are sent to, so that recall goes by meaning, too (default: by words alone)")
	f.StringVar(&e.model, "embeddings-model", "", "model that embeddings-url is asked for; another one computes all vectors anew")
	f.StringVar(&e.keyFile, "embeddings-key-file", "", "file that holds the key which embeddings-url is shown")
}

// read settles the key. An error says nothing of it.
func (e *embeddingsFlags) read() (err error) {
	if e.keyFile == "" {
		return nil
	}
	if e.key, err = auth.ReadKeyFile(e.keyFile); err != nil {
		return fmt.Errorf("--embeddings-key-file: %w", err)
	}
	return nil
}

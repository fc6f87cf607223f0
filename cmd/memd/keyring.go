package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/memd/memd/client"
)

func newKeyring() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "keyring",
		Short: "Show or change the keys with which the nodes of a running mesh gossip",
		Long: "Show or change the keys with which the nodes of a running mesh gossip.\n\n" +
			"    memd keyring generate              a first key, for --gossip-key of every node\n" +
			"    memd keyring rotate                a new key everywhere, and the old ones gone\n\n" +
			"rotate is install, use and remove, one after the other. Every node keeps what was changed in its\n" +
			"data directory, where it outlives a restart until --gossip-key is changed. A key is named by its id,\n" +
			"which does not give it away.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newKeyringGenerate(), newKeyringList(), newKeyringInstall(), newKeyringUse(), newKeyringRemove(), newKeyringRotate())
	return cmd
}

// newGossipKey is a key for AES-256.
func newGossipKey() []byte {
	key := make([]byte, 32)
	rand.Read(key) // never fails
	return key
}

func newKeyringGenerate() *cobra.Command {
	return &cobra.Command{
		Use:   "generate",
		Short: "Print a new gossip key; no node is asked",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintln(cmd.OutOrStdout(), base64.StdEncoding.EncodeToString(newGossipKey()))
			return err
		},
	}
}

func newKeyringList() *cobra.Command {
	return newVerb("list", "Show who has which keys, and who encrypts with which", cobra.NoArgs).
		do(func(ctx context.Context, c *client.Client, _ []string) (answer, error) {
			k, err := c.Keyring(ctx)
			if err != nil {
				return answer{}, err
			}
			return keyringAnswer(k), nil
		})
}

func newKeyringInstall() *cobra.Command {
	v := newVerb("install [KEY]", "Make every node understand a further key", cobra.MaximumNArgs(1))
	v.about("KEY is base64 of 16, 24 or 32 bytes; - reads it from standard input, where nobody sees it in a list of\n" +
		"processes. Without one a new key is made and printed: nodes that are added later need it as --gossip-key.")
	force := forced(v)
	return v.do(func(ctx context.Context, c *client.Client, args []string) (answer, error) {
		key, made, err := givenKey(args)
		if err != nil {
			return answer{}, &usageError{err}
		}
		k, err := c.InstallKey(ctx, key, *force)
		if err != nil {
			return answer{}, err
		}
		return withKey(k, key, made), nil
	})
}

// withKey shows a keyring, and a key that was made for it.
func withKey(k *client.Keyring, key []byte, made bool) answer {
	a := keyringAnswer(k)
	if !made {
		return a
	}
	text := base64.StdEncoding.EncodeToString(key)
	return answer{struct {
		*client.Keyring
		Key string `json:"key"`
	}{k, text}, func(w io.Writer) error {
		_, err := fmt.Fprintln(w, "new key:", text)
		return errors.Join(err, a.show(w))
	}}
}

// givenKey is the key of an argument, of standard input, or a new one.
func givenKey(args []string) (key []byte, made bool, err error) {
	if len(args) == 0 {
		return newGossipKey(), true, nil
	}
	text := args[0]
	if text == "-" {
		b, err := io.ReadAll(io.LimitReader(os.Stdin, 1024))
		if err != nil {
			return nil, false, err
		}
		text = string(b)
	}
	key, err = parseGossipKey(text)
	return key, false, err
}

// parseGossipKey does not repeat what it was given, which may be a secret.
func parseGossipKey(text string) ([]byte, error) {
	key, err := base64.StdEncoding.DecodeString(strings.TrimSpace(text))
	if err != nil {
		return nil, errors.New("a gossip key must be base64")
	}
	switch len(key) {
	case 16, 24, 32:
		return key, nil
	}
	return nil, fmt.Errorf("a gossip key must be base64 of 16, 24 or 32 bytes, not %d", len(key))
}

func newKeyringUse() *cobra.Command {
	v := newVerb("use ID", "Make every node encrypt with a key that all have", cobra.ExactArgs(1))
	force := forced(v)
	return v.do(func(ctx context.Context, c *client.Client, args []string) (answer, error) {
		k, err := c.UseKey(ctx, args[0], *force)
		if err != nil {
			return answer{}, err
		}
		return keyringAnswer(k), nil
	})
}

func newKeyringRemove() *cobra.Command {
	v := newVerb("remove ID", "Make every node refuse a key that nobody encrypts with", cobra.ExactArgs(1))
	force := forced(v)
	return v.do(func(ctx context.Context, c *client.Client, args []string) (answer, error) {
		k, err := c.RemoveKey(ctx, args[0], *force)
		if err != nil {
			return answer{}, err
		}
		return keyringAnswer(k), nil
	})
}

func newKeyringRotate() *cobra.Command {
	v := newVerb("rotate", "Give every node a new key and make it refuse all others", cobra.NoArgs)
	v.about("It ends at the first step that a node does not take; repeat it then: what was done is done.")
	force := forced(v)
	return v.do(func(ctx context.Context, c *client.Client, _ []string) (answer, error) {
		before, err := c.Keyring(ctx)
		if err != nil {
			return answer{}, err
		}
		key := newGossipKey()
		now, err := c.InstallKey(ctx, key, *force)
		if err != nil {
			return answer{}, err
		}
		id := newID(before, now)
		if id == "" {
			return answer{}, errors.New("the nodes do not show the new key")
		}
		if now, err = c.UseKey(ctx, id, *force); err != nil {
			return answer{}, err
		}
		for _, old := range now.Keys {
			if old.ID == id {
				continue
			}
			if _, err = c.RemoveKey(ctx, old.ID, *force); err != nil {
				return answer{}, err
			}
		}
		if now, err = c.Keyring(ctx); err != nil {
			return answer{}, err
		}
		return withKey(now, key, true), nil
	})
}

// newID is the key that is in after only.
func newID(before, after *client.Keyring) string {
	known := map[string]bool{}
	for _, k := range before.Keys {
		known[k.ID] = true
	}
	for _, k := range after.Keys {
		if !known[k.ID] {
			return k.ID
		}
	}
	return ""
}

func forced(v *verb) *bool {
	return v.cmd.Flags().Bool("force", false, "without members that cannot be reached: start them with the new key as --gossip-key then")
}

func keyringAnswer(k *client.Keyring) answer {
	return answer{k, func(w io.Writer) error {
		rows := [][]string{{"KEY", "ENCRYPTS AT", "UNDERSTOOD AT"}}
		for _, key := range k.Keys {
			rows = append(rows, []string{key.ID, orDash(strings.Join(key.UsedBy, " ")), strings.Join(key.HeldBy, " ")})
		}
		if len(k.Keys) == 0 {
			rows = [][]string{{"gossip is not encrypted"}}
		}
		err := table(w, rows)
		for _, f := range k.Unreachable {
			_, failed := fmt.Fprintf(w, "%s: %s\n", f.Name, f.Error)
			err = errors.Join(err, failed)
		}
		return err
	}}
}

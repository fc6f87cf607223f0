package main

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/memd/memd/client"
	"github.com/memd/memd/trust"
)

// meshGuard keeps strangers out of a mesh of dev, with what `memd ca` makes.
type meshGuard struct {
	dir    string // of the authority and of the certificates
	gossip string // key, base64
	key    string // API key
}

func newMeshGuard(dir string) (*meshGuard, error) {
	if err := trust.InitAuthority(dir); err != nil && !errors.Is(err, trust.ErrExists) { // of an earlier mesh in this folder
		return nil, err
	}
	g := &meshGuard{dir: dir, gossip: base64.StdEncoding.EncodeToString(newGossipKey()), key: rand.Text() + rand.Text()}
	return g, os.WriteFile(g.keyFile(), []byte(g.key+"\n"), 0o600)
}

func (g *meshGuard) keyFile() string { return filepath.Join(g.dir, "api.key") }

func (g *meshGuard) authority() string { return filepath.Join(g.dir, trust.AuthorityCert) }

// admit gives a node what it is known by, and its client what knows it.
func (g *meshGuard) admit(n *devNode, ask *client.Config) (err error) {
	if _, err := trust.Issue(g.dir, trust.Order{Name: n.name}); err != nil {
		return err
	}
	base := filepath.Join(g.dir, n.name)
	n.args = append(n.args, "--tls-cert", base+".crt", "--tls-key", base+".key", "--tls-ca", g.authority(), "--gossip-key", g.gossip, "--api-key-file", g.keyFile())
	ask.APIKey = g.key
	ask.TLS, err = trust.Client(g.authority(), "", "")
	return err
}

func (m *mesh) scheme() string {
	if m.guard == nil {
		return "http://"
	}
	return "https://"
}

// curl are the flags with which curl is let in.
func (m *mesh) curl() string {
	if m.guard == nil {
		return ""
	}
	return fmt.Sprintf(` --cacert %s -H "X-API-Key: $(cat %s)"`, m.guard.authority(), m.guard.keyFile())
}

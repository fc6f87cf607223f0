package trust

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/memd/memd/memory"
)

// Names of an authority's files in its folder. A certificate is <name>.crt, its key
// <name>.key.
const (
	AuthorityCert = "ca.crt" // what nodes and clients trust; may be shown to anyone
	AuthorityKey  = "ca.key" // what issues; leaves the folder never
)

// Lifetimes. A certificate may begin a little ago, for clocks that are behind.
const (
	authorityLife = 10 * 365 * 24 * time.Hour
	DefaultLife   = 365 * 24 * time.Hour
	backdate      = time.Hour
)

// ErrExists is an authority that is there already.
var ErrExists = errors.New("there is an authority already")

// InitAuthority makes an authority in the folder dir, which is created with mode 0700.
func InitAuthority(dir string) error {
	for _, name := range []string{AuthorityKey, AuthorityCert} { // the key may be kept elsewhere
		if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
			return fmt.Errorf("%s: %w", dir, ErrExists)
		}
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return writeAuthority(dir, nil)
}

// RenewAuthority gives the authority of dir a new key. Its file of certificates holds the
// new one and those of before, so that what they issued stays good until RetireAuthority.
func RenewAuthority(dir string) error {
	old, err := readCerts(filepath.Join(dir, AuthorityCert))
	if err != nil {
		return err
	}
	return writeAuthority(dir, old)
}

// RetireAuthority leaves only the newest certificate of the authority: what earlier ones
// issued is refused as soon as nodes have the file.
func RetireAuthority(dir string) (dropped int, err error) {
	all, err := readCerts(filepath.Join(dir, AuthorityCert))
	if err != nil {
		return 0, err
	}
	return len(all) - 1, WriteFile(filepath.Join(dir, AuthorityCert), encodeCerts(all[0]), 0o644)
}

func writeAuthority(dir string, old []*x509.Certificate) error {
	now := time.Now()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	t := &x509.Certificate{
		SerialNumber: newSerial(),
		Subject:      pkix.Name{CommonName: "memd authority " + now.UTC().Format("2006-01-02")},
		NotBefore:    now.Add(-backdate), NotAfter: now.Add(authorityLife),
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	cert, err := sign(t, t, key.Public(), key)
	if err != nil {
		return err
	}
	pemKey, err := encodeKey(key)
	if err != nil {
		return err
	}
	if err := WriteFile(filepath.Join(dir, AuthorityKey), pemKey, 0o600); err != nil {
		return err
	}
	return WriteFile(filepath.Join(dir, AuthorityCert), encodeCerts(append([]*x509.Certificate{cert}, old...)...), 0o644)
}

// Order says what a certificate is for.
type Order struct {
	Name string // of the node or the client
	// Hosts are the names and IP addresses, beside localhost, under which clients call
	// the node. Peers look at Name only.
	Hosts []string
	// Client makes a certificate for somebody who is no node: it cannot serve, and is
	// nobody's peer.
	Client bool
	Life   time.Duration // 0 = DefaultLife
}

// Issue writes <name>.crt and <name>.key into the folder of the authority, over those that
// are there: a renewal is the same order again.
func Issue(dir string, o Order) (*x509.Certificate, error) {
	if err := memory.ValidateNodeName(o.Name); err != nil {
		return nil, err
	}
	if o.Name == "ca" {
		return nil, &memory.FieldError{Field: "name", Problem: "cannot be ca: these are the authority's own files"}
	}
	if o.Life == 0 {
		o.Life = DefaultLife
	}
	authority, signer, err := readAuthority(dir)
	if err != nil {
		return nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	t := &x509.Certificate{
		SerialNumber: newSerial(), Subject: pkix.Name{CommonName: o.Name},
		NotBefore: now.Add(-backdate), NotAfter: now.Add(o.Life),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		BasicConstraintsValid: true,
	}
	if !o.Client {
		t.ExtKeyUsage = append(t.ExtKeyUsage, x509.ExtKeyUsageServerAuth)
		t.URIs = append(t.URIs, nodeURI(o.Name))
		for _, h := range append([]string{"localhost", "127.0.0.1", "::1"}, o.Hosts...) {
			if ip := net.ParseIP(h); ip != nil {
				t.IPAddresses = append(t.IPAddresses, ip)
			} else {
				t.DNSNames = append(t.DNSNames, h)
			}
		}
	}
	cert, err := sign(t, authority, key.Public(), signer)
	if err != nil {
		return nil, err
	}
	pemKey, err := encodeKey(key)
	if err != nil {
		return nil, err
	}
	if err := WriteFile(filepath.Join(dir, o.Name+".key"), pemKey, 0o600); err != nil {
		return nil, err
	}
	return cert, WriteFile(filepath.Join(dir, o.Name+".crt"), encodeCerts(cert), 0o644)
}

func readAuthority(dir string) (*x509.Certificate, crypto.Signer, error) {
	certs, err := readCerts(filepath.Join(dir, AuthorityCert))
	if err != nil {
		return nil, nil, err
	}
	path := filepath.Join(dir, AuthorityKey)
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, nil, err
	}
	block, _ := pem.Decode(b)
	if block == nil {
		return nil, nil, fmt.Errorf("%s holds no key", path)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", path, err)
	}
	signer, ok := parsed.(crypto.Signer)
	if !ok {
		return nil, nil, fmt.Errorf("%s cannot sign", path)
	}
	// A renewal that was cut short has left a key whose certificate is not there.
	public, ok := signer.Public().(*ecdsa.PublicKey)
	if !ok || !public.Equal(certs[0].PublicKey) {
		return nil, nil, fmt.Errorf("%s does not belong to the first certificate of %s: renew the authority", path, AuthorityCert)
	}
	return certs[0], signer, nil
}

// sign returns the certificate, read back.
func sign(t, parent *x509.Certificate, public crypto.PublicKey, signer crypto.Signer) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, t, parent, public, signer)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

func newSerial() *big.Int {
	var b [16]byte
	rand.Read(b[:]) // never fails
	b[0] &= 0x7f
	return new(big.Int).SetBytes(b[:])
}

func encodeKey(key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

func encodeCerts(certs ...*x509.Certificate) []byte {
	var b bytes.Buffer
	for _, c := range certs {
		_ = pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}) // a buffer takes everything
	}
	return b.Bytes()
}

func readCerts(path string) ([]*x509.Certificate, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	certs, err := parseCerts(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return certs, nil
}

// parseCerts reads all certificates of a PEM file; there is at least one.
func parseCerts(b []byte) (certs []*x509.Certificate, err error) {
	for {
		var block *pem.Block
		if block, b = pem.Decode(b); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		certs = append(certs, c)
	}
	if len(certs) == 0 {
		return nil, errors.New("no certificate in it")
	}
	return certs, nil
}

// WriteFile replaces a file as a whole: whoever reads it again meets the old or the new one.
func WriteFile(path string, b []byte, mode os.FileMode) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // an error means that it was renamed
	if err := errors.Join(f.Chmod(mode), writeAll(f, b), f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

func writeAll(f *os.File, b []byte) error {
	_, err := f.Write(b)
	return err
}

package trust

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// scheme of the URI that names a node, and the host that stands for every cluster.
const (
	scheme     = "memd"
	anyCluster = "any"
)

// nodeURI is what a certificate of a node carries.
func nodeURI(name string) *url.URL {
	return &url.URL{Scheme: scheme, Host: anyCluster, Path: "/" + name}
}

// ErrName is a certificate that is good, and of another node than the one it is shown for.
var ErrName = errors.New("the certificate is of another node")

// CheckName returns nil if cert is that of the node name of the cluster (in the form in
// which a status shows it; "" = the caller has none yet), else an ErrName.
func CheckName(cert *x509.Certificate, cluster, name string) error {
	var said []string
	for _, u := range cert.URIs {
		if u.Scheme != scheme {
			continue
		}
		node := strings.TrimPrefix(u.Path, "/")
		if node == name && (u.Host == anyCluster || u.Host == cluster) {
			return nil
		}
		said = append(said, u.String())
	}
	if said == nil {
		if slices.Contains(cert.DNSNames, name) {
			return nil
		}
		said = cert.DNSNames
	}
	if len(said) == 0 {
		return fmt.Errorf("%w: it names none, and is shown for %q", ErrName, name)
	}
	return fmt.Errorf("%w: it names %q, and is shown for %q", ErrName, said, name)
}

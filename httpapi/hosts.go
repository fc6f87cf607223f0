package httpapi

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
)

// hosts are the names under which this node may be called. A browser that was led here by
// a foreign page says the page's name, in Host after DNS rebinding and in Origin else.
type hosts struct {
	names map[string]bool // lower case, without port; IP addresses in their short form
	anyIP bool
}

func newHosts(allowed []string) hosts {
	h := hosts{names: map[string]bool{"localhost": true}}
	for _, s := range allowed {
		name := hostname(s)
		if name == "" && !strings.HasPrefix(s, ":") {
			continue
		}
		if ip, err := netip.ParseAddr(name); name == "" || err == nil && ip.IsUnspecified() {
			h.anyIP = true // ":9077" and "0.0.0.0:9077"
			continue
		}
		h.names[name] = true
	}
	return h
}

// check refuses a request for another host (421) and one from another origin (403).
func (h hosts) check(r *http.Request) error {
	name := hostname(r.Host)
	if !h.named(name) && !(h.anyIP && isIP(name)) {
		return &problem{Status: http.StatusMisdirectedRequest, Code: "WRONG_HOST", Text: "this node does not serve that host; see --allowed-hosts"}
	}
	origins := r.Header["Origin"]
	if len(origins) == 0 {
		return nil
	}
	foreign := &problem{Status: http.StatusForbidden, Code: "FOREIGN_ORIGIN", Text: "requests from that origin are not accepted; see --allowed-hosts"}
	if len(origins) > 1 {
		return foreign
	}
	u, err := url.Parse(origins[0])
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return foreign // "null" among them
	}
	// A page may call the address that it came from; any other must be named, for an IP
	// address in Origin says nothing about who it is.
	if strings.EqualFold(u.Host, r.Host) || h.named(hostname(u.Host)) {
		return nil
	}
	return foreign
}

func (h hosts) named(name string) bool {
	if h.names[name] {
		return true
	}
	ip, err := netip.ParseAddr(name)
	return err == nil && ip.IsLoopback()
}

func isIP(name string) bool {
	_, err := netip.ParseAddr(name)
	return err == nil
}

// hostname is the host of "host", "host:port", "[::1]" or "[::1]:port" in the form in
// which it is compared.
func hostname(s string) string {
	if name, _, err := net.SplitHostPort(s); err == nil {
		s = name
	} else {
		s = strings.TrimSuffix(strings.TrimPrefix(s, "["), "]")
	}
	if ip, err := netip.ParseAddr(s); err == nil {
		return ip.Unmap().WithZone("").String()
	}
	return strings.ToLower(strings.TrimSuffix(s, "."))
}

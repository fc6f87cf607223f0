package httpapi

import (
	"net/http"
	"net/netip"
	"strings"

	"github.com/memd/memd/auth"
	"github.com/memd/memd/memory"
	"github.com/memd/memd/wire"
)

// Keyring knows who has shown a key.
type Keyring interface {
	// Check returns nil for a key that is nobody's.
	Check(key string) *auth.Principal
}

// enter finds out who calls and whether they may: every request passes here, before its
// verb and before it learns whether there is one. A verb finds its caller in the context.
func (c *call) enter(need auth.Scope) error {
	if need == auth.Public {
		return nil // health answers also to a wrong key
	}
	d := c.door
	if d.Keys != nil {
		if err := c.identify(); err != nil {
			return err
		}
		if !c.who.May(need) {
			return d.refuse("forbidden", errScope)
		}
		if err := c.claim(); err != nil {
			return err
		}
		c.r = c.r.WithContext(auth.With(c.r.Context(), c.who))
	}
	if need == auth.Peer {
		return nil // peers are bounded by what they may have open at once
	}
	return d.limits.admit(c)
}

var (
	errNoKey  = &problem{Status: http.StatusUnauthorized, Code: "UNAUTHORIZED", Text: "missing or invalid API key"}
	errScope  = &problem{Status: http.StatusForbidden, Code: "SCOPE_MISSING", Text: "this key is not for requests of that kind"}
	errAgent  = &problem{Status: http.StatusForbidden, Code: "FOREIGN_AGENT", Text: "this key is not for that agent id", Field: "X-Agent-Id"}
	errInsane = &problem{Status: http.StatusUnauthorized, Code: "UNAUTHORIZED", Text: "an API key is given more than once"}
)

// refuse counts a refusal by its reason.
func (d *Door) refuse(reason string, p *problem) error {
	d.metrics.refused.WithLabelValues(reason).Inc()
	return p
}

// identify finds the principal of the key that the request shows.
func (c *call) identify() error {
	key, err := shown(c.r.Header)
	if err != nil {
		return c.door.refuse("key", err)
	}
	if key != "" {
		c.who = c.door.Keys.Check(key)
	}
	at := caller(c.r)
	// Whoever guesses is slowed down. That must not keep out others at the same address,
	// so a key that nobody can have guessed passes all the same.
	if c.who == nil || !c.who.Strong {
		if wait := c.door.limits.guessing(at, key != "" && c.who == nil); wait > 0 {
			c.who = nil
			c.door.strangers.wrongKey(c.r, key)
			return c.door.refuse("guessing", tooMany(wait, "too many wrong keys from this address"))
		}
	}
	if c.who != nil {
		return nil
	}
	c.door.strangers.wrongKey(c.r, key)
	c.Header()["Www-Authenticate"] = headerBearer
	return c.door.refuse("key", errNoKey)
}

var headerBearer = []string{`Bearer realm="memd"`}

// shown is the key that a request shows, in X-API-Key or as a bearer; "" if none.
func shown(h http.Header) (string, *problem) {
	var key string
	switch own := h["X-Api-Key"]; {
	case len(own) > 1:
		return "", errInsane
	case len(own) == 1:
		key = own[0]
	}
	for _, v := range h["Authorization"] {
		scheme, token, _ := strings.Cut(v, " ")
		if !strings.EqualFold(scheme, "bearer") {
			continue // of a proxy in between
		}
		if token = strings.TrimSpace(token); key != "" && key != token {
			return "", errInsane
		}
		key = token
	}
	return key, nil
}

// claim checks the agent that the caller says it is, whatever the verb makes of it.
func (c *call) claim() error {
	ids := c.r.Header["X-Agent-Id"]
	if len(ids) != 1 || ids[0] == "" || c.who.Agent(ids[0]) {
		return nil // two are another mistake
	}
	if need := c.needs(); need == auth.Peer || c.who.May(auth.Peer) && strings.HasPrefix(ids[0], "memd:") {
		return nil // a node names itself
	}
	if memory.ValidateAgentID(ids[0]) != nil {
		return nil // likewise
	}
	return c.door.refuse("agent", errAgent)
}

// needs is the scope of what the request asks for; of what nothing answers it is a key,
// so that strangers do not learn what there is.
func (c *call) needs() auth.Scope {
	if c.route == nil {
		return auth.Any
	}
	v, ok := c.route.verbs[c.r.Method]
	switch {
	case !ok && c.route.public:
		return auth.Public
	case !ok:
		return auth.Any
	case v.form != nil:
		return v.form(c)
	}
	return v.scope
}

// caller is the address that a request comes from, without port; of IPv6 the network
// that one subscriber has.
func caller(r *http.Request) string {
	at, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return subscriber(at.Addr())
}

func subscriber(ip netip.Addr) string {
	ip = ip.Unmap().WithZone("")
	if ip.Is6() {
		if net, err := ip.Prefix(64); err == nil {
			return net.Addr().String()
		}
	}
	return ip.String()
}

// local tells whether a request comes from this machine, and is not handed on by a proxy
// on it.
func local(r *http.Request) bool {
	for _, h := range []string{"Forwarded", "X-Forwarded-For", "X-Real-Ip"} {
		if _, ok := r.Header[h]; ok {
			return false
		}
	}
	at, err := netip.ParseAddrPort(r.RemoteAddr)
	return err == nil && at.Addr().Unmap().IsLoopback()
}

// The scopes of requests whose form decides.

// sinceScope: the clock of a node asks for everything, the original's time for what its
// key may read.
func sinceScope(c *call) auth.Scope {
	if c.r.Method == http.MethodPost || wire.IsClockSince(c.query) {
		return auth.Peer
	}
	return auth.Read
}

// pushScope: frames come from nodes, JSON from clients of the original.
func pushScope(c *call) auth.Scope {
	if _, ok := c.r.Header["Upgrade"]; ok || c.wantType(wire.MediaFrames) == nil {
		return auth.Peer
	}
	return auth.Write
}

// metricsScope: what this machine's own scraper asks for needs no key.
func metricsScope(c *call) auth.Scope {
	if local(c.r) {
		return auth.Public
	}
	return auth.Read
}

// profileScope is the same for what shows the process itself.
func profileScope(c *call) auth.Scope {
	if local(c.r) {
		return auth.Public
	}
	return auth.Admin
}

// scrapes refuses a tenant what is about all of them: metrics name namespaces. Who may see
// every namespace may have them, and who may see none: that is the key of a scraper, which
// then can read no memory.
func (c *call) scrapes() error {
	if c.who.Namespace(auth.Everything) || len(c.who.Namespaces) == 0 {
		return nil
	}
	return c.door.refuse("forbidden", errScope)
}

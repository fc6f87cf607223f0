package httpapi

import (
	"context"
	"net/http"
	"net/url"
	"strconv"

	"github.com/memd/memd/clock"
	"github.com/memd/memd/memory"
)

// Registrar keeps the registry of members. Its changes are writes like all others and fail
// like them.
type Registrar interface {
	Members(context.Context) (Membership, error)
	// RemoveMember takes a name out for good. Errors: ErrNotFound, *memory.MemberError (it
	// seems alive and force is not set, or it is this node). Repeated, it waits for the
	// quorum of the first time.
	RemoveMember(ctx context.Context, name string, force bool, opt WriteOptions) (MemberChange, error)
	// AddMember admits a name that was removed. Errors: *memory.MemberError (this node does
	// not see it).
	AddMember(ctx context.Context, name string, opt WriteOptions) (MemberChange, error)
}

// Membership is the body of GET /api/v1/members.
type Membership struct {
	Members []Member `json:"members"` // by name
	Removed []string `json:"removed"` // names that may not acknowledge any more; never null
	Quorum  Quorum   `json:"quorum"`
}

// MemberChange is the answer to a change of the registry.
type MemberChange struct {
	Name  string
	Dot   clock.Dot
	Token clock.Clock
	Acks  int
	N, W  int // from now on, as this node sees it
	// Unchanged is set when the registry said so already.
	Unchanged bool
}

func (c *call) members() error {
	m, err := c.door.Node.Members(c.context())
	if err != nil {
		return err
	}
	return c.encode(m)
}

func (c *call) memberName() (string, error) {
	name, err := url.PathUnescape(c.vars["name"])
	if err != nil {
		return "", invalid("name", "is not escaped as a path segment")
	}
	return name, memory.ValidateNodeName(name)
}

func (c *call) removeMember() error {
	name, err := c.memberName()
	if err != nil {
		return err
	}
	force, err := c.flag("force")
	if err != nil {
		return err
	}
	opt, err := c.writeOptions(nil)
	if err != nil {
		return err
	}
	m, err := c.door.Node.RemoveMember(c.context(), name, force, opt)
	if err != nil {
		return err
	}
	return c.memberChanged("removed", m)
}

func (c *call) addMember() error {
	name, err := c.memberName()
	if err != nil {
		return err
	}
	opt, err := c.writeOptions(nil)
	if err != nil {
		return err
	}
	m, err := c.door.Node.AddMember(c.context(), name, opt)
	if err != nil {
		return err
	}
	return c.memberChanged("added", m)
}

func (c *call) memberChanged(what string, m MemberChange) error {
	b := append(c.output(), `{"`...)
	b = append(b, what...)
	b = append(b, `":true,"name":`...)
	b = memory.AppendString(b, m.Name)
	b = append(b, `,"n":`...)
	b = strconv.AppendInt(b, int64(m.N), 10)
	b = append(b, `,"w":`...)
	b = strconv.AppendInt(b, int64(m.W), 10)
	if m.Unchanged {
		b = append(b, `,"existing":true`...)
	}
	b = appendWrite(b, m.Dot, m.Acks, m.Token)
	return c.json(http.StatusOK, append(b, '}'))
}

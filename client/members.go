package client

import (
	"context"
	"net/http"
	"net/url"
)

// Membership is the registry of members as the node that answers has it.
type Membership struct {
	Members []Member `json:"members"` // by name
	Removed []string `json:"removed"` // names that may not acknowledge any more
	Quorum  Quorum   `json:"quorum"`
}

// MemberChange is the answer to a change of the registry.
type MemberChange struct {
	Name     string `json:"name"`
	N        int    `json:"n"` // registered members from now on
	W        int    `json:"w"` // acks wanted by default from now on
	Existing bool   `json:"existing"`
	Written
}

const pathMembers = "/api/v1/members"

// Members returns the registry.
func (c *Client) Members(ctx context.Context) (*Membership, error) {
	return call[Membership](ctx, c, request{method: http.MethodGet, path: pathMembers})
}

// RemoveMember takes a name out of the registry for good: it counts for no quorum, its acks
// are not counted, and it does not come back by itself. Errors: memory.ErrNotFound,
// *memory.MemberError (it seems alive and force is not set, or it is the node that was
// asked), *memory.QuorumError.
func (c *Client) RemoveMember(ctx context.Context, name string, force bool, opt WriteOptions) (*MemberChange, error) {
	r, err := c.write(http.MethodDelete, pathMembers+"/"+url.PathEscape(name), nil, opt)
	if err != nil {
		return nil, err
	}
	if force {
		r.query.Set("force", "1")
	}
	return call[MemberChange](ctx, c, r)
}

// AddMember admits a name that was removed, while its node runs. Errors:
// *memory.MemberError (the node that was asked does not see it), *memory.QuorumError.
func (c *Client) AddMember(ctx context.Context, name string, opt WriteOptions) (*MemberChange, error) {
	r, err := c.write(http.MethodPut, pathMembers+"/"+url.PathEscape(name), nil, opt)
	if err != nil {
		return nil, err
	}
	return call[MemberChange](ctx, c, r)
}

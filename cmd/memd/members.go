package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/memd/memd/client"
)

func newMembers() *cobra.Command {
	cmd := newAsking("members", "Show the registered members of a cluster, or change which they are", showRegistry,
		func(s *client.ClusterStatus) any { return s.Members })
	cmd.AddCommand(newMembersRemove(), newMembersAdd())
	return cmd
}

func showRegistry(w io.Writer, s *client.ClusterStatus) error {
	err := showMembers(w, s)
	if err == nil && len(s.Removed) > 0 {
		_, err = fmt.Fprintf(w, "\nremoved: %s\n", strings.Join(s.Removed, ", "))
	}
	return err
}

func newMembersRemove() *cobra.Command {
	v := newVerb("remove NAME", "Take a member out of the cluster for good", cobra.ExactArgs(1))
	v.about("From then on the name counts for no quorum, acknowledges nothing, and does not come back\n" +
		"by itself: its node says that it was removed, is not ready and takes no writes. It is a\n" +
		"write like all others and needs the quorum of before; when so many nodes are lost that\n" +
		"there is none, --w 1 removes them one by one. Ask another node than the one that goes.\n\n" +
		"A lost node is replaced by removing its name and starting a node with a new one. A node\n" +
		"that lost only its disk need not be removed: start it with its name and an empty directory.")
	force := v.cmd.Flags().Bool("force", false, "also if the node seems alive")
	w := v.cmd.Flags().Int("w", 0, "acknowledgements wanted; 0 = the quorum")
	v.agent = new(string)
	return v.do(func(ctx context.Context, c *client.Client, args []string) (answer, error) {
		m, err := c.RemoveMember(ctx, args[0], *force, client.WriteOptions{W: *w})
		if err != nil {
			return answer{}, err
		}
		return memberChange(m, "removed"), nil
	})
}

func newMembersAdd() *cobra.Command {
	v := newVerb("add NAME", "Admit a member again that was removed", cobra.ExactArgs(1))
	v.about("Start its node first, joining the cluster: it says that it was removed, and its address\n" +
		"is taken from there. A name that was never removed needs no command: it registers itself.")
	w := v.cmd.Flags().Int("w", 0, "acknowledgements wanted; 0 = the quorum")
	v.agent = new(string)
	return v.do(func(ctx context.Context, c *client.Client, args []string) (answer, error) {
		m, err := c.AddMember(ctx, args[0], client.WriteOptions{W: *w})
		if err != nil {
			return answer{}, err
		}
		return memberChange(m, "added"), nil
	})
}

func memberChange(m *client.MemberChange, what string) answer {
	return answer{m, func(w io.Writer) error {
		already := ""
		if m.Existing {
			already = " already"
		}
		_, err := fmt.Fprintf(w, "%s is %s%s; the quorum is %d of %s\n", m.Name, what, already, m.W, count(m.N, "member"))
		return err
	}}
}

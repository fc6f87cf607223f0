package deploy

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// hosts are machines of this test's own: network namespaces on one switch, each with an
// address and all with one hosts file, so that names are resolved as on a real network.
type hosts struct {
	t      *testing.T
	prefix string
	file   string // hosts
}

// newHosts makes the machines, and takes them away when the test ends. It needs root and
// iproute2; without them the test is skipped, and says so.
func newHosts(t *testing.T, names ...string) *hosts {
	t.Helper()
	for _, tool := range []string{"ip", "setpriv", "mount"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("SKIPPED, the files were not run: no %s", tool)
		}
	}
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED, the files were not run: network namespaces need root")
	}
	h := &hosts{t: t, prefix: fmt.Sprintf("md%d", os.Getpid()), file: filepath.Join(t.TempDir(), "hosts")}
	hub := h.prefix + "sw"
	if out, err := exec.Command("ip", "netns", "add", hub).CombinedOutput(); err != nil {
		t.Skipf("SKIPPED, the files were not run: no network namespaces here: %v %s", err, out)
	}
	t.Cleanup(func() { _ = exec.Command("ip", "netns", "del", hub).Run() })
	ip := func(args ...string) { t.Helper(); run(t, "", nil, "ip", args...) }
	ip("-n", hub, "link", "add", "br0", "type", "bridge")
	ip("-n", hub, "link", "set", "br0", "up")
	text := "127.0.0.1 localhost\n"
	for i, name := range names {
		ns, port, addr := h.prefix+name, fmt.Sprintf("v%d", i), fmt.Sprintf("10.77.0.%d", i+1)
		ip("netns", "add", ns)
		t.Cleanup(func() { _ = exec.Command("ip", "netns", "del", ns).Run() })
		ip("-n", hub, "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", ns)
		ip("-n", hub, "link", "set", port, "master", "br0", "up")
		ip("-n", ns, "addr", "add", addr+"/24", "dev", "eth0")
		ip("-n", ns, "link", "set", "eth0", "up")
		ip("-n", ns, "link", "set", "lo", "up")
		text += addr + " " + name + "\n"
	}
	if err := os.WriteFile(h.file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return h
}

// command runs a program on a machine as a user without rights. files are put where the
// program looks for them, in a view of the file system of its own: folders below which they
// lie are empty but for them. dirs likewise: a path and the folder that is shown there.
func (h *hosts) command(name string, files, dirs map[string]string, env []string, program ...string) *exec.Cmd {
	h.t.Helper()
	var script strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&script, format+"\n", args...) }
	line("set -e; mount --make-rprivate /; mount -t tmpfs -o mode=0755 tmpfs /run; mount --bind %s /etc/hosts", h.file)
	covered := map[string]bool{"/run": true}
	cover := func(path string) {
		top := "/" + strings.Join(strings.Split(strings.Trim(path, "/"), "/")[:1], "/")
		if top == "/etc" || top == "/var" { // much else lies there
			top = "/" + strings.Join(strings.Split(strings.Trim(path, "/"), "/")[:2], "/")
		}
		if covered[top] {
			return
		}
		covered[top] = true
		if _, err := os.Stat(top); err != nil { // needs a place first, in a copy of the folder above
			above := filepath.Dir(top)
			line("mkdir /run/above && cp -a %s/. /run/above/ && mount --bind /run/above %s && mkdir -p %s", above, above, top)
			return
		}
		line("mount -t tmpfs -o mode=0755 tmpfs %s", top)
	}
	for path := range files {
		cover(path)
	}
	for path := range dirs {
		cover(path)
	}
	for path, from := range files {
		line("mkdir -p %s; cp %s %s; chmod 0444 %s", filepath.Dir(path), from, path, path)
	}
	for path, from := range dirs {
		line("mkdir -p %s; mount --bind %s %s", path, from, path)
	}
	line(`exec setpriv --reuid 65532 --regid 65532 --clear-groups --no-new-privs --bounding-set=-all "$@"`)
	cmd := exec.CommandContext(h.t.Context(), "ip", append([]string{"netns", "exec", h.prefix + name, "unshare", "--mount", "sh", "-c", script.String(), "sh"}, program...)...)
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=/nonexistent"}, env...)
	return cmd
}

package deploy

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// composeFile is as much of a Compose file as ours has.
type composeFile struct {
	Services map[string]struct {
		Command     []string
		Environment map[string]string
		Secrets     []any
		Volumes     []any
		Image       string
		User        string
		Cap_drop    []string
		Read_only   bool
	}
	Secrets map[string]struct{ File string }
}

// TestCompose starts the processes of the Compose file with exactly its commands,
// environment and secrets, as the user of the image, on three machines whose names are
// resolved; it writes through one and reads through another, from a fourth.
func TestCompose(t *testing.T) {
	var file composeFile
	if err := yaml.Unmarshal([]byte(read(t, "deploy/compose/compose.yaml")), &file); err != nil {
		t.Fatal(err)
	}
	h := newHosts(t, "n1", "n2", "n3", "client")
	secrets := secretsOf(t, "n1", "n2", "n3")
	dockerfile := read(t, "deploy/docker/Dockerfile")
	if !strings.Contains(dockerfile, "USER 65532:65532") || !strings.Contains(dockerfile, `ENTRYPOINT ["/usr/local/bin/memd"]`) {
		t.Fatal("the image runs something else, or as somebody else, than this test")
	}
	var status *exec.Cmd
	for _, n := range []string{"n1", "n2", "n3"} {
		s, ok := file.Services[n]
		if !ok || !s.Read_only || len(s.Cap_drop) != 1 {
			t.Fatalf("the service %s: %+v", n, s)
		}
		var env []string
		for k, v := range s.Environment {
			env = append(env, k+"="+v)
		}
		checkFlags(t, s.Command, s.Environment)
		files := map[string]string{}
		for _, one := range s.Secrets {
			source, target := fmt.Sprint(one), fmt.Sprint(one)
			if m, ok := one.(map[string]any); ok {
				source, target = m["source"].(string), m["target"].(string)
			}
			named, ok := file.Secrets[source]
			if !ok {
				t.Fatalf("%s wants the secret %s, which there is not", n, source)
			}
			files["/run/secrets/"+target] = filepath.Join(secrets, filepath.Base(named.File))
		}
		if n == "n1" { // docker compose exec n1 memd status
			status = h.command(n, files, nil, env, memd(t), "status")
		}
		start(t, h.command(n, files, map[string]string{"/var/lib/memd": dataOf(t)}, env, append([]string{memd(t)}, s.Command...)...))
	}
	writeAndRead(t, h, secrets)
	if out, err := status.CombinedOutput(); err != nil || !strings.Contains(string(out), "2 of 3 members") {
		t.Errorf("memd status in a container: %v %s", err, out)
	}
}

// TestUnit does the same with the command, the credentials and the configuration of the unit.
func TestUnit(t *testing.T) {
	h := newHosts(t, "n1", "n2", "n3", "client")
	secrets := secretsOf(t, "n1", "n2", "n3")
	unit := read(t, "deploy/systemd/memd.service")
	var program []string
	credentials := map[string]string{}
	for line := range strings.Lines(unit) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		switch key {
		case "ExecStart":
			program = strings.Fields(value)
		case "LoadCredential":
			name, path, _ := strings.Cut(value, ":")
			credentials[name] = path
		}
	}
	if len(program) == 0 || program[0] != "/usr/local/bin/memd" || len(credentials) < 5 {
		t.Fatalf("the unit runs %q with %v", program, credentials)
	}
	program[0] = memd(t)
	source := map[string]string{"api.key": "peer.key"} // as the unit's comment says
	for _, n := range []string{"n1", "n2", "n3"} {
		files := map[string]string{}
		for name := range credentials {
			from := name
			if as, ok := source[name]; ok {
				from = as
			}
			files["/run/credentials/memd.service/"+name] = filepath.Join(secrets, strings.Replace(from, "node.", n+".", 1))
		}
		config := filepath.Join(t.TempDir(), "memd.yaml")
		var text strings.Builder
		for line := range strings.Lines(read(t, "deploy/systemd/memd.yaml")) {
			if !strings.HasPrefix(line, "join:") {
				line = strings.ReplaceAll(line, "n1", n)
			}
			text.WriteString(line)
		}
		if err := os.WriteFile(config, []byte(text.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		files["/etc/memd/memd.yaml"] = config
		start(t, h.command(n, files, map[string]string{"/var/lib/memd": dataOf(t)}, nil, program...))
	}
	writeAndRead(t, h, secrets)
	backUp(t, h, secrets)
}

// backUp takes a backup on n1 with the credentials and the environment of the backup's unit.
func backUp(t *testing.T, h *hosts, secrets string) {
	t.Helper()
	const at = "/run/credentials/memd-backup.service/"
	files := map[string]string{}
	var env []string
	for line := range strings.Lines(read(t, "deploy/systemd/memd-backup.service")) {
		switch key, value, _ := strings.Cut(strings.TrimSpace(line), "="); key {
		case "Environment":
			env = append(env, strings.ReplaceAll(value, "%d/", at))
		case "LoadCredential":
			name, path, _ := strings.Cut(value, ":")
			files[at+name] = filepath.Join(secrets, filepath.Base(path)) // its names are those of secrets.sh
		}
	}
	out, err := h.command("n1", files, map[string]string{"/var/lib/memd-backup": dataOf(t)}, env, memd(t), "backup", "/var/lib/memd-backup/one.backup").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "sha256") {
		t.Errorf("memd backup: %v: %s", err, out)
	}
}

func secretsOf(t *testing.T, nodes ...string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "secrets")
	run(t, root(t), []string{"MEMD=" + memd(t), "CONTAINERS=1"}, "sh", append([]string{"deploy/secrets.sh", dir}, nodes...)...)
	return dir
}

// dataOf is an empty folder of the service's user.
func dataOf(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Chown(dir, 65532, 65532); err != nil {
		t.Fatal(err)
	}
	return dir
}

// writeAndRead plays a client on a machine of its own.
func writeAndRead(t *testing.T, h *hosts, secrets string) {
	t.Helper()
	files := map[string]string{"/run/client/ca.crt": filepath.Join(secrets, "ca.crt")}
	for _, k := range []string{"agent.key", "admin.key", "metrics.key"} {
		files["/run/client/"+k] = filepath.Join(secrets, k)
	}
	client := func(key string, args ...string) (string, error) {
		env := []string{"MEMD_TLS_CA=/run/client/ca.crt"}
		if key != "" {
			env = append(env, "MEMD_API_KEY_FILE=/run/client/"+key)
		}
		out, err := h.command("client", files, nil, env, append([]string{memd(t)}, args...)...).CombinedOutput()
		if err != nil {
			err = fmt.Errorf("memd %s: %w: %s", strings.Join(args, " "), err, out)
		}
		return string(out), err
	}
	for _, n := range []string{"n1", "n2", "n3"} {
		waitFor(t, n, func() error { _, err := client("", "health", "--server", "https://"+n+":9077"); return err })
	}
	if _, err := client("agent.key", "store", "--server", "https://n1:9077", "--title", "Deploy day", "--content", "We ship on Tuesdays"); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the memory on n3", func() error {
		out, err := client("agent.key", "list", "--server", "https://n3:9077")
		if err == nil && !strings.Contains(out, "Deploy day") {
			err = fmt.Errorf("not in %q", out)
		}
		return err
	})
	out, err := client("admin.key", "members", "--server", "https://n2:9077")
	for _, n := range []string{"n1", "n2", "n3"} {
		if err != nil || !strings.Contains(out, n+":9077") && !strings.Contains(out, "10.77.0.") {
			t.Errorf("members: %v %s", err, out)
		}
	}
	// Strangers.
	for _, args := range [][]string{{"list"}, {"store", "--title", "x", "--content", "y"}, {"members"}} {
		if out, err := client("", append(args, "--server", "https://n1:9077")...); err == nil {
			t.Errorf("without a key memd %s is let in: %s", args[0], out)
		}
	}
	fetch := func(key string) (string, error) {
		args := []string{"curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", "--cacert", "/run/client/ca.crt", "https://n1:9077/metrics"}
		if key != "" {
			args = append(args, "-H", "Authorization: Bearer "+strings.TrimSpace(key))
		}
		out, err := h.command("client", files, nil, nil, args...).CombinedOutput()
		return string(out), err
	}
	key, err := os.ReadFile(filepath.Join(secrets, "metrics.key"))
	if err != nil {
		t.Fatal(err)
	}
	for k, want := range map[string]string{"": "401", string(key): "200"} {
		if got, err := fetch(k); err != nil || got != want {
			t.Errorf("metrics with a key of %d bytes: %s %v, want %s", len(k), got, err, want)
		}
	}
}

package deploy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	yamlutil "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

// decode reads manifests strictly, as the API server would with field validation: an unknown
// or doubled field is an error. Kinds of the Prometheus operator, whose types are its own,
// are only read as YAML.
func decode(t *testing.T, manifests []byte) (out []runtime.Object) {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{corev1.AddToScheme, appsv1.AddToScheme, policyv1.AddToScheme, networkingv1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	strict := serializer.NewCodecFactory(scheme, serializer.EnableStrict).UniversalDeserializer()
	docs := yamlutil.NewDocumentDecoder(io.NopCloser(bytes.NewReader(manifests)))
	buf := make([]byte, 1<<20)
	for {
		n, err := docs.Read(buf)
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		doc := bytes.Clone(buf[:n])
		var head struct{ APIVersion, Kind string }
		if err := yaml.Unmarshal(doc, &head); err != nil {
			t.Fatalf("%v\n%s", err, doc)
		}
		if head.Kind == "" {
			continue // comments alone
		}
		if strings.HasPrefix(head.APIVersion, "monitoring.coreos.com/") {
			continue
		}
		obj, _, err := strict.Decode(doc, nil, nil)
		if err != nil {
			t.Fatalf("%v\n%s", err, doc)
		}
		out = append(out, obj)
	}
}

func find[T any](t *testing.T, objects []runtime.Object) *T {
	t.Helper()
	for _, o := range objects {
		if x, ok := o.(any).(*T); ok {
			return x
		}
	}
	t.Fatalf("no %T among %d manifests", *new(T), len(objects))
	return nil
}

// checkSet holds a StatefulSet to what memd needs, whoever wrote the manifest.
func checkSet(t *testing.T, objects []runtime.Object, replicas int32) {
	t.Helper()
	set := find[appsv1.StatefulSet](t, objects)
	pod := set.Spec.Template.Spec
	c := pod.Containers[0]
	if *set.Spec.Replicas != replicas || set.Spec.PodManagementPolicy != appsv1.ParallelPodManagement {
		t.Errorf("%d replicas, %s", *set.Spec.Replicas, set.Spec.PodManagementPolicy)
	}
	if err := set.Spec.Selector.MatchLabels["app.kubernetes.io/name"]; err != set.Spec.Template.Labels["app.kubernetes.io/name"] {
		t.Error("the selector does not find its pods")
	}
	var headless bool
	for _, o := range objects {
		if s, ok := o.(*corev1.Service); ok && s.Name == set.Spec.ServiceName {
			headless = s.Spec.ClusterIP == corev1.ClusterIPNone && s.Spec.PublishNotReadyAddresses
		}
	}
	if !headless {
		t.Errorf("%s is no headless service that publishes nodes which are not ready", set.Spec.ServiceName)
	}
	if s := c.SecurityContext; s == nil || *s.AllowPrivilegeEscalation || !*s.ReadOnlyRootFilesystem || len(s.Capabilities.Drop) == 0 {
		t.Error("the container may do more than it must")
	}
	if s := pod.SecurityContext; s == nil || !*s.RunAsNonRoot || s.SeccompProfile == nil || s.FSGroup == nil {
		t.Error("the pod may do more than it must")
	}
	for path, p := range map[string]*corev1.Probe{"/livez": c.LivenessProbe, "/readyz": c.ReadinessProbe} {
		if p == nil || p.HTTPGet == nil || p.HTTPGet.Path != path || p.HTTPGet.Scheme != corev1.URISchemeHTTPS {
			t.Errorf("the probe of %s: %+v", path, p)
		}
	}
	if c.StartupProbe == nil || c.Resources.Limits.Memory().IsZero() || len(pod.TopologySpreadConstraints) == 0 || len(set.Spec.VolumeClaimTemplates) != 1 {
		t.Error("something of startup probe, memory limit, spread and volume is missing")
	}
	env := map[string]string{}
	for _, e := range c.Env {
		env[e.Name] = e.Value
	}
	if env["MEMD_BOOTSTRAP_EXPECT"] != fmt.Sprint(replicas) {
		t.Errorf("%s nodes are waited for, %d there will be", env["MEMD_BOOTSTRAP_EXPECT"], replicas)
	}
	checkFlags(t, c.Args, env)
	b := find[policyv1.PodDisruptionBudget](t, objects)
	if b.Spec.MaxUnavailable.IntValue() != 1 {
		t.Errorf("%v nodes may be taken away at once", b.Spec.MaxUnavailable)
	}
	find[networkingv1.NetworkPolicy](t, objects)
}

// checkFlags: every MEMD_ variable is a flag of the command that the container runs.
func checkFlags(t *testing.T, args []string, env map[string]string) {
	t.Helper()
	help := run(t, "", nil, memd(t), append(slices.Clone(args), "--help")...) + run(t, "", nil, memd(t), "status", "--help")
	for name := range env {
		flag, ok := strings.CutPrefix(name, "MEMD_")
		if flag = strings.ToLower(strings.ReplaceAll(flag, "_", "-")); ok && !strings.Contains(help, "--"+flag+" ") {
			t.Errorf("%s is no flag of memd %s", name, strings.Join(args, " "))
		}
	}
}

// TestKustomize builds what `kubectl apply -k` would apply.
func TestKustomize(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "kubernetes")
	if err := os.CopyFS(dir, os.DirFS(filepath.Join(root(t), "deploy/kubernetes"))); err != nil {
		t.Fatal(err)
	}
	run(t, root(t), []string{"MEMD=" + memd(t)}, "sh", "deploy/secrets.sh", filepath.Join(dir, "secrets"), "memd-0", "memd-1", "memd-2")
	m, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), dir)
	if err != nil {
		t.Fatal(err)
	}
	b, err := m.AsYaml()
	if err != nil {
		t.Fatal(err)
	}
	objects := decode(t, b)
	checkSet(t, objects, 3)
	set, secret := find[appsv1.StatefulSet](t, objects), find[corev1.Secret](t, objects)
	for i := range *set.Spec.Replicas {
		for _, ext := range []string{".crt", ".key"} {
			if name := fmt.Sprintf("%s-%d%s", set.Name, i, ext); len(secret.Data[name]) == 0 {
				t.Errorf("the secret has no %s", name)
			}
		}
	}
}

// helm is the pinned one, built once and kept in the cache of the user.
func helm(t *testing.T) string {
	t.Helper()
	const version = "v4.3.1"
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Skip("no place to keep helm: ", err)
	}
	dir := filepath.Join(cache, "memd-tools", "helm-"+version)
	path := filepath.Join(dir, "helm")
	if _, err := os.Stat(path); err == nil {
		return path
	}
	ctx, cancel := context.WithTimeout(t.Context(), 9*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", "install", "helm.sh/helm/v4/cmd/helm@"+version)
	cmd.Env = append(os.Environ(), "GOBIN="+dir, "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Skipf("SKIPPED, the chart was not tested: helm cannot be built: %v\n%s", err, out)
	}
	return path
}

func TestChart(t *testing.T) {
	tool, chart := helm(t), filepath.Join(root(t), "deploy/helm/memd")
	home := t.TempDir()
	env := []string{"HELM_CONFIG_HOME=" + home, "HELM_CACHE_HOME=" + home, "HELM_DATA_HOME=" + home}
	if out := run(t, "", env, tool, "lint", "--strict", chart); strings.Contains(out, "[WARNING]") {
		t.Error(out)
	}
	objects := decode(t, []byte(run(t, "", env, tool, "template", "memd", chart)))
	checkSet(t, objects, 3)
	all := run(t, "", env, tool, "template", "memd", chart, "--namespace", "agents", "--set", "replicas=5,serviceMonitor.enabled=true,prometheusRule.enabled=true,dashboard.enabled=true,allowedHosts={memory.example}")
	checkSet(t, decode(t, []byte(all)), 5)
	for _, want := range []string{"kind: ServiceMonitor", "kind: PrometheusRule", "alert: MemdDiverged", "kind: ConfigMap", "memory.example", "memd.agents.svc"} {
		if !strings.Contains(all, want) {
			t.Errorf("the chart with everything has no %s", want)
		}
	}
	for _, wrong := range []string{"replicas=0", "replcas=3", "logLevel=loud", "persistence.size=ten", "quorumTimeout=2"} {
		cmd := exec.Command(tool, "template", "memd", chart, "--set", wrong)
		cmd.Env = append(os.Environ(), env...)
		if out, err := cmd.CombinedOutput(); err == nil {
			t.Errorf("%s is taken: %.200s", wrong, out)
		}
	}
}

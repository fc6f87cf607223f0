// Package deploy holds what lies in the folder deploy against what can be run: the
// manifests against the types of the Kubernetes API, the chart and the rules against their
// own tools, the dashboard and the alerts against the metrics of a running mesh, and the
// processes of the Compose file and of the unit with exactly their flags and files.
//
// It is a module of its own, so that none of its tools reaches the product.
package deploy

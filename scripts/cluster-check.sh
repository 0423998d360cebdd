#!/bin/sh
# Says in one error what is missing to install on the cluster of the current context: kubectl, helm, an answer, a version.
set -eu
cd "$(dirname "$0")/.."
HELM=3.14
KUBERNETES=$(sed -n "s/^kubeVersion: *[\"']*>= *\([0-9]*\.[0-9]*\).*/\1/p" helm/slipway/Chart.yaml)

fail() { printf 'error: %s\nhelp: %s\n' "$1" "$2" >&2; exit 2; }

at_least() { # at_least 1.34 1.31: whether the first is the second or newer
    [ "${1%%.*}" -gt "${2%%.*}" ] || { [ "${1%%.*}" -eq "${2%%.*}" ] && [ "${1#*.}" -ge "${2#*.}" ]; }
}

for tool in kubectl helm; do
    command -v $tool >/dev/null || fail "no $tool command" "install it, and have it on the PATH"
done
helm=$(helm version --template '{{.Version}}' 2>/dev/null | sed -n 's/^v\([0-9]*\.[0-9]*\).*/\1/p')
at_least "${helm:-0.0}" "$HELM" || fail "helm ${helm:-without a version} is too old" "install helm $HELM or newer"
client=$(kubectl version --client --output yaml 2>/dev/null | sed -n 's/^ *gitVersion: v\([0-9]*\.[0-9]*\).*/\1/p')
at_least "${client:-0.0}" "$KUBERNETES" ||
    fail "kubectl ${client:-without a version} is too old" "install kubectl $KUBERNETES or newer"
context=$(kubectl config current-context 2>/dev/null) ||
    fail "kubectl has no current context" "name a kubeconfig in KUBECONFIG, or choose one: kubectl config use-context NAME"
answer=$(kubectl get --raw /version --request-timeout=10s 2>&1) ||
    fail "the cluster of context $context does not answer: $(printf '%s' "$answer" | tail -n 1)" \
        "start it, or choose another: kubectl config use-context NAME"
server=$(printf '%s' "$answer" | sed -n 's/.*"gitVersion": *"v\([0-9]*\.[0-9]*\).*/\1/p')
at_least "${server:-0.0}" "$KUBERNETES" ||
    fail "the cluster of context $context is Kubernetes ${server:-without a version}" "Slipway needs Kubernetes $KUBERNETES or newer"

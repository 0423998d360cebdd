#!/bin/sh
# `make cluster-down`: uninstalls the platform; VOLUMES=1 also removes its data and its namespace.
set -eu
cd "$(dirname "$0")/.."
namespace=${NAMESPACE:-slipway} release=${RELEASE:-slipway}

run() { echo "+ $*"; "$@"; }

scripts/cluster-check.sh
run helm uninstall "$release" --namespace "$namespace" --ignore-not-found --wait --timeout "${TIMEOUT:-5m}"
if [ -n "${VOLUMES:-}" ]; then
    run kubectl delete persistentvolumeclaim --namespace "$namespace" --selector "app.kubernetes.io/instance=$release"
    others=$(kubectl --namespace "$namespace" get pods,persistentvolumeclaims --output name \
        --selector "app.kubernetes.io/instance!=$release")
    if [ -z "$others" ]; then
        run kubectl delete namespace "$namespace" --ignore-not-found
    else
        printf 'Namespace %s is kept, since it has more than the platform:\n%s\n' "$namespace" "$others"
    fi
    exit
fi
volumes=$(kubectl --namespace "$namespace" get persistentvolumeclaim --output name --selector "app.kubernetes.io/instance=$release")
[ -z "$volumes" ] || printf 'The data is kept in these volumes of namespace %s; make cluster-down VOLUMES=1 removes them and the namespace:\n%s\n' "$namespace" "$volumes"

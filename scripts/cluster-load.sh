#!/bin/sh
# Gets images of this machine's engine into the cluster of the current context: `scripts/cluster-load.sh IMAGE…`.
# IMAGE_REGISTRY=… pushes them there; CLUSTER_LOAD=… is a command that is given each image; else the cluster must be
# one of kind, k3d or minikube, which have their own way. `--check` only says whether there is one.
set -eu

fail() { printf 'error: %s\nhelp: %s\n' "$1" "$2" >&2; exit 2; }
run() { echo "+ $*"; "$@"; }

push() { # an image's name in the registry: as the chart's imageRegistry makes it
    case $1 in
        */*) case ${1%%/*} in *.* | *:* | localhost) rest=${1#*/} ;; *) rest=$1 ;; esac ;;
        *) rest=$1 ;;
    esac
    run docker tag "$1" "$IMAGE_REGISTRY/$rest"
    run docker push --quiet "$IMAGE_REGISTRY/$rest"
}

if [ -n "${IMAGE_REGISTRY:-}" ]; then
    way=registry
elif [ -n "${CLUSTER_LOAD:=${SLIPWAY_CLUSTER_LOAD:-}}" ]; then
    way=command
else
    node=$(kubectl get nodes --output 'jsonpath={.items[0].metadata.name} {.items[0].spec.providerID} {.items[0].metadata.labels.minikube\.k8s\.io/name}')
    name=${node%% *}
    case $node in
        *' kind://'*) way=kind cluster=${node#*kind://*/} cluster=${cluster%%/*} ;;
        k3d-*-server-* | k3d-*-agent-*) way=k3d cluster=${name#k3d-} cluster=${cluster%-*-*} ;;
        *' '*' '?*) way=minikube cluster=${node##* } ;;
        *) fail "images cannot be got into this cluster: it is none of kind, k3d and minikube, and no registry is named" \
            "name a registry that it pulls from: IMAGE_REGISTRY=registry.example.com/team; or a command that loads one image: CLUSTER_LOAD='…' (CLUSTER_LOAD=true: its nodes use this machine's engine)" ;;
    esac
    case $way in kind | k3d | minikube)
        command -v $way >/dev/null || fail "this is a $way cluster, and there is no $way command" "install it, or name another way: IMAGE_REGISTRY or CLUSTER_LOAD" ;;
    esac
fi
[ "${1:-}" != --check ] || exit 0

case $way in
    registry) for image; do push "$image"; done ;;
    command) for image; do run $CLUSTER_LOAD "$image"; done ;;
    kind) run kind load docker-image --name "$cluster" "$@" ;;
    k3d) run k3d image import --cluster "$cluster" "$@" ;;
    minikube) for image; do run minikube --profile "$cluster" image load "$image"; done ;;
esac

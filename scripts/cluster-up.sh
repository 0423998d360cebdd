#!/bin/sh
# `make cluster-up`: the platform on the Kubernetes cluster of the current context, its address, and a first landing of
# sample files. VALUES='a.yaml b.yaml' are further values files, NAMESPACE and RELEASE where and under which name;
# how the images get into the cluster, scripts/cluster-load.sh says.
set -eu
cd "$(dirname "$0")/.."
bin=${SLIPWAY_VENV:-.venv}/bin
namespace=${NAMESPACE:-slipway} release=${RELEASE:-slipway}

fail() { printf 'error: %s\nhelp: %s\n' "$1" "$2" >&2; exit 2; }
run() { echo "+ $*"; "$@"; }

scripts/cluster-check.sh
scripts/cluster-load.sh --check
command -v docker >/dev/null || fail "no docker command" "images are built by Docker: install its engine"

values='--values platform.yaml'
for file in ${VALUES:-}; do values="$values --values $file"; done
[ -z "${IMAGE_REGISTRY:-}" ] || values="$values --set kubernetes.imageRegistry=$IMAGE_REGISTRY"

# the same Dockerfiles, and so the same layers, as under Compose
echo "+ slipway images --build | docker compose --file - --project-directory . build"
"$bin/slipway" images --build | docker compose --file - --project-directory . build --quiet
images=$("$bin/slipway" images --json |
    "$bin/python" -c 'import json, sys; print(*sorted({image["source"] for image in json.load(sys.stdin)}))')
for image in $images; do
    docker image inspect "$image" >/dev/null 2>&1 || run docker pull --quiet "$image" ||
        fail "there is no image $image" "build it, or correct its name in platform.yaml"
done
scripts/cluster-load.sh $images

run helm upgrade --install "$release" helm/slipway $values --namespace "$namespace" --create-namespace \
    --wait --timeout "${TIMEOUT:-10m}"

service() { # the name of a component's service; none when it has none
    kubectl --namespace "$namespace" get service --output name \
        --selector "app.kubernetes.io/instance=$release,app.kubernetes.io/component=$1" | head -n 1
}

secret() { # a value of the generated secret
    kubectl --namespace "$namespace" get secret --selector "app.kubernetes.io/instance=$release" \
        --output "jsonpath={.items[*].data.$1}" | base64 -d
}

s3=$(service localstack)
if [ -n "$s3" ]; then
    log=$(mktemp)
    kubectl --namespace "$namespace" port-forward "$s3" :4566 >"$log" 2>&1 &
    forward=$!
    trap 'kill $forward 2>/dev/null || true; rm -f "$log"' EXIT
    port=
    for _ in $(seq 100); do
        port=$(sed -n 's/^Forwarding from 127.0.0.1:\([0-9]*\) .*/\1/p' "$log")
        [ -z "$port" ] && kill -0 $forward 2>/dev/null || break
        sleep 0.1
    done
    [ -n "$port" ] || fail "$s3 cannot be reached: $(tail -n 1 "$log")" "see what its pod says: kubectl --namespace $namespace logs $s3"
    SLIPWAY_S3_ENDPOINT=http://127.0.0.1:$port \
    SLIPWAY_S3_ACCESS_KEY_ID=$(secret SLIPWAY_S3_ACCESS_KEY_ID) \
    SLIPWAY_S3_SECRET_ACCESS_KEY=$(secret SLIPWAY_S3_SECRET_ACCESS_KEY) \
        "$bin/slipway" land --days "${DAYS:-7}"
fi

web=$(service webserver)
echo "UI:   kubectl --namespace $namespace port-forward $web 3000:80, then http://127.0.0.1:3000"
[ -z "$s3" ] || echo "S3:   kubectl --namespace $namespace port-forward $s3 4566:4566"
echo "rows: kubectl --namespace $namespace exec deployment/${web#*/} -- slipway sql \"FROM ecommerce.marts.revenue_by_store_and_day\""

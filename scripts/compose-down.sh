#!/bin/sh
# `make down`: removes containers, networks and what runs left; VOLUMES=1 also removes the data.
set -eu
cd "$(dirname "$0")/.."
project=$(docker compose config --format json | sed -n 's/^  "name": "\(.*\)",*$/\1/p')
# the daemon first, or it starts the next run while the last is removed
docker compose stop daemon
runs=$(docker ps --all --quiet --filter "label=slipway.project=$project" --filter label=slipway.kind=run)
[ -z "$runs" ] || docker rm --force --volumes $runs >/dev/null
if [ -n "${VOLUMES:-}" ]; then
    docker compose down --remove-orphans --volumes
else
    docker compose down --remove-orphans
    echo "The data is kept in the volumes of project $project; make down VOLUMES=1 removes it too."
fi

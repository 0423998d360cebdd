#!/bin/sh
# Locks: hashed requirement files, since they carry no registry's address and install with plain pip.
#   scripts/lock.sh             write them again, keeping pins that still hold
#   scripts/lock.sh --upgrade   take the newest versions
#   scripts/lock.sh --check     fail when they are stale
set -eu
cd "$(dirname "$0")/.."
uv=${SLIPWAY_VENV:-.venv}/bin/uv
check= upgrade=
case ${1:-} in
    --check) check=1 ;;
    --upgrade) upgrade=--upgrade ;;
    '') ;;
    *) echo "usage: scripts/lock.sh [--check|--upgrade]" >&2; exit 2 ;;
esac
stale=

lock() { # lock OUTPUT INPUT…: resolve for every platform and supported Python
    output=$1; shift
    target=$output
    if [ -n "$check" ]; then
        target=$(mktemp "${TMPDIR:-/tmp}/lock.XXXXXX.txt")
        cp "$output" "$target"
    fi
    "$uv" pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
        --no-header --no-annotate $upgrade "$@" --output-file "$target"
    if [ -n "$check" ]; then
        cmp -s "$output" "$target" || { echo "stale: $output (run make lock)" >&2; stale=1; }
        rm -f "$target"
    fi
}

lock locks/uv.txt locks/uv.in
lock locks/platform.txt pyproject.toml --extra platform
lock locks/laptop.txt pyproject.toml --extra platform --extra embedded -c locks/platform.txt -c locks/uv.txt
lock locks/dev.txt pyproject.toml --extra platform --extra embedded --extra dev -c locks/laptop.txt
for location in code_locations/*/; do
    lock "${location}requirements.txt" "${location}pyproject.toml" pyproject.toml
done
lock code_locations/ecommerce/requirements-snowflake.txt code_locations/ecommerce/pyproject.toml pyproject.toml \
    --extra snowflake -c code_locations/ecommerce/requirements.txt
[ -z "$stale" ]

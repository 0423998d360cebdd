#!/bin/sh
# Makes .venv from a lock: `scripts/environment.sh laptop` for the demo, `… dev` for tests as well.
# Needs a Python 3.11 to 3.13 with venv; brings its own uv from PyPI, by hash. Does nothing when .venv is up to date.
set -eu
cd "$(dirname "$0")/.."
lock=$1
venv=${SLIPWAY_VENV:-.venv}

suits() { "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; }

fail() { printf 'error: %s\nhelp: %s\n' "$1" "$2" >&2; exit 2; }

if [ ! -x "$venv/bin/python" ] || ! suits "$venv/bin/python"; then
    python=
    for candidate in ${PYTHON:-python3.13 python3.12 python3.11 python3}; do
        if command -v "$candidate" >/dev/null 2>&1 && suits "$candidate"; then python=$candidate; break; fi
    done
    [ -n "$python" ] || fail "no Python 3.11, 3.12 or 3.13 found (looked for ${PYTHON:-python3.13, python3.12, python3.11, python3})" \
        "install one (Debian, Ubuntu: apt install python3 python3-venv; macOS: brew install python@3.13) or name it: make PYTHON=/path/to/python3"
    echo "environment: $venv from $("$python" --version)"
    rm -rf "$venv"
    "$python" -m venv "$venv" >/dev/null 2>&1 && [ -x "$venv/bin/pip" ] || {
        rm -rf "$venv"
        fail "$python cannot make virtual environments" "install its venv module (Debian, Ubuntu: apt install python3-venv)"
    }
fi

stamp=$venv/.slipway-$lock
if [ -e "$venv/.slipway-dev" ] && [ "$lock" = laptop ]; then lock=dev stamp=$venv/.slipway-dev; fi
wanted=$(cat "locks/$lock.txt" locks/uv.txt pyproject.toml | cksum)
if [ "$(cat "$stamp" 2>/dev/null || true)" = "$wanted" ]; then exit 0; fi

echo "environment: installing locks/$lock.txt"
[ -x "$venv/bin/uv" ] || "$venv/bin/pip" install --quiet --disable-pip-version-check --require-hashes -r locks/uv.txt
VIRTUAL_ENV=$PWD/$venv UV_PYTHON_DOWNLOADS=never
case $venv in /*) VIRTUAL_ENV=$venv ;; esac
export VIRTUAL_ENV UV_PYTHON_DOWNLOADS
"$venv/bin/uv" pip sync --quiet --require-hashes "locks/$lock.txt"
"$venv/bin/uv" pip install --quiet --no-deps --editable .
rm -f "$venv"/.slipway-*
printf '%s' "$wanted" >"$stamp"

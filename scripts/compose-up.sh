#!/bin/sh
# `make up`: the platform in containers, its address, and a first landing of sample files.
set -eu
cd "$(dirname "$0")/.."
docker compose up --detach --build --wait
echo "UI: http://127.0.0.1:${SLIPWAY_UI_PORT:-3000}"
"${SLIPWAY_VENV:-.venv}/bin/slipway" land --days "${DAYS:-7}"
echo 'Rows: docker compose exec webserver slipway sql "FROM ecommerce.marts.revenue_by_store_and_day"'

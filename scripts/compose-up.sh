#!/bin/sh
# `make up`: the platform in containers, its address, and a first landing of sample files.
set -eu
cd "$(dirname "$0")/.."
if [ -f .env ]; then set -a; . ./.env; set +a; fi
docker compose up --detach --build --wait
SLIPWAY_S3_ENDPOINT=http://127.0.0.1:${SLIPWAY_S3_PORT:-4566} \
SLIPWAY_S3_ACCESS_KEY_ID=${SLIPWAY_S3_ACCESS_KEY_ID:-slipway} \
SLIPWAY_S3_SECRET_ACCESS_KEY=${SLIPWAY_S3_SECRET_ACCESS_KEY:-slipway} \
    "${SLIPWAY_VENV:-.venv}/bin/slipway" land --days "${DAYS:-7}"
echo "UI:   http://127.0.0.1:${SLIPWAY_UI_PORT:-3000}"
echo 'rows: docker compose exec webserver slipway sql "FROM ecommerce.marts.revenue_by_store_and_day"'

#!/bin/sh
# Secrets are files (compose mounts them under /run/secrets); the settings want them in the environment of the process.
# A connection string is put together here, so that no compose file and no `docker inspect` shows a password.
set -eu

read_secret() {
  [ ! -r "/run/secrets/$1" ] || cat "/run/secrets/$1"
}

postgres_password=$(read_secret postgres_password)
if [ -n "$postgres_password" ]; then
  export CRYPTO_INTEL_POSTGRES_DSN="postgresql://postgres:${postgres_password}@postgres:5432/postgres"
  # Dagster's notifications work with psycopg2 alone.
  export CRYPTO_INTEL_DAGSTER_PG_URL="postgresql+psycopg2://postgres:${postgres_password}@postgres:5432/dagster"
fi
newsapi_key=$(read_secret newsapi_key)
[ -z "$newsapi_key" ] || export CRYPTO_INTEL_NEWSAPI__KEY="$newsapi_key"
coingecko_key=$(read_secret coingecko_api_key)
[ -z "$coingecko_key" ] || export CRYPTO_INTEL_COINGECKO__KEY="$coingecko_key"
alphavantage_key=$(read_secret alphavantage_api_key)
[ -z "$alphavantage_key" ] || export CRYPTO_INTEL_ALPHAVANTAGE__KEY="$alphavantage_key"
fred_api_key=$(read_secret fred_api_key)
[ -z "$fred_api_key" ] || export CRYPTO_INTEL_FRED__API_KEY="$fred_api_key"

exec "$@"

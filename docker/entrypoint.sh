#!/bin/sh
# Secrets are files (compose mounts them under /run/secrets); the settings want them in the environment of the process.
# A connection string is put together here, so that no compose file and no `docker inspect` shows a password.
set -eu

secrets=${CRYPTO_INTEL_SECRETS_DIR:-/run/secrets}

# give FILE VARIABLE: the file's content, if there is any, becomes the variable.
give() {
  [ -r "$secrets/$1" ] || return 0
  value=$(cat "$secrets/$1")
  [ -z "$value" ] || export "$2=$value"
}

give postgres_password postgres_password
if [ -n "${postgres_password:-}" ]; then
  export CRYPTO_INTEL_POSTGRES_DSN="postgresql://postgres:${postgres_password}@postgres:5432/postgres"
  # Dagster's notifications work with psycopg2 alone.
  export CRYPTO_INTEL_DAGSTER_PG_URL="postgresql+psycopg2://postgres:${postgres_password}@postgres:5432/dagster"
  unset postgres_password
fi
give s3_secret_key AWS_SECRET_ACCESS_KEY
give kafka_password CRYPTO_INTEL_KAFKA__PASSWORD
[ ! -s "$secrets/kafka_ca" ] || export CRYPTO_INTEL_KAFKA__CA_FILE="$secrets/kafka_ca"
give jwt_secret CRYPTO_INTEL_API__JWT__SECRET
give newsapi_key CRYPTO_INTEL_NEWSAPI__KEY
give coingecko_api_key CRYPTO_INTEL_COINGECKO__KEY
give alphavantage_api_key CRYPTO_INTEL_ALPHAVANTAGE__KEY
give fred_api_key CRYPTO_INTEL_FRED__API_KEY
give channel_url CRYPTO_INTEL_CHANNELS__OPERATORS
unset value secrets

exec "$@"

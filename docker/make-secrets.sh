#!/usr/bin/env bash
# `docker/make-secrets.sh [FOLDER]`: draws every secret that compose.yaml names, as files; one that is there stays.
# The keys of live sources, where alerts about the market are told, and what a Kafka cluster of yours wants are made
# empty: fill in what you have.
set -euo pipefail
folder=${1:-$(dirname "$0")/secrets}
umask 077
mkdir -p "$folder"

# draw NAME: 48 hex digits, safe in any connection string.
draw() {
  [[ -s $folder/$1 ]] || openssl rand -hex 24 | tr -d '\n' >"$folder/$1"
}

base64url() {
  openssl base64 -A | tr '+/' '-_' | tr -d '='
}

# token ROLE: a key as Supabase's projects have them, for ten years.
token() {
  local head body now
  now=$(date +%s)
  head=$(printf '{"alg":"HS256","typ":"JWT"}' | base64url)
  body=$(printf '{"iss":"supabase","role":"%s","iat":%d,"exp":%d}' "$1" "$now" "$((now + 315360000))" | base64url)
  printf '%s.%s.%s' "$head" "$body" \
    "$(printf '%s.%s' "$head" "$body" | openssl dgst -sha256 -hmac "$(cat "$folder/jwt_secret")" -binary | base64url)"
}

for name in postgres_password authenticator_password jwt_secret s3_secret_key grafana_password; do
  draw "$name"
done
for role in anon service_role; do
  [[ -s $folder/${role}_key ]] || token "$role" >"$folder/${role}_key"
done
[[ -s $folder/postgrest_uri ]] || printf 'postgresql://authenticator:%s@postgres:5432/postgres' \
  "$(cat "$folder/authenticator_password")" >"$folder/postgrest_uri"
# Where Alertmanager reports; nothing listens there until you name a hook of yours.
[[ -s $folder/alert_webhook_url ]] || printf 'http://127.0.0.1:9/' >"$folder/alert_webhook_url"
for name in newsapi_key fred_api_key coingecko_api_key alphavantage_api_key channel_url kafka_password kafka_ca; do
  touch "$folder/$name"
done
# Containers read them as users of their own; the folder keeps everybody else out.
chmod 0700 "$folder"
chmod 0644 "$folder"/*

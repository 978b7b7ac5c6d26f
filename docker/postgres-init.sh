#!/bin/sh
# Runs once, when the volume is new. Dagster's tables stay apart from the platform's; the roles are those of a Supabase
# project, so that PostgREST and the supabase client find what they expect. The schema itself is made by `prepare`.
set -eu
psql --set ON_ERROR_STOP=1 --set password="$(cat "${CRYPTO_INTEL_SECRETS_DIR:-/run/secrets}/authenticator_password")" <<'SQL'
CREATE DATABASE dagster;
CREATE ROLE anon NOLOGIN NOINHERIT;
CREATE ROLE authenticated NOLOGIN NOINHERIT;
CREATE ROLE service_role NOLOGIN NOINHERIT BYPASSRLS;
CREATE ROLE authenticator LOGIN NOINHERIT PASSWORD :'password';
GRANT anon, authenticated, service_role TO authenticator;
SQL

-- Schemas and roles. A Supabase project already has anon, authenticated and service_role: they are left as they are.
--
--   anon            whoever has no login: sees nothing
--   authenticated   logged-in readers of the API
--   service_role    trusted servers through the API
--   ci_writer       the platform's sinks          ci_reader  status pages and dashboards
--   ci_migrator     may add tables
-- All are groups without a login: grant them to the logins of an installation.

CREATE SCHEMA IF NOT EXISTS ops;
COMMENT ON SCHEMA ops IS 'What the platform keeps for itself: progress, guards of sinks, outboxes. Not exposed by the API.';

DO $$
DECLARE
  role_name text;
BEGIN
  FOREACH role_name IN ARRAY ARRAY['anon', 'authenticated', 'service_role', 'ci_writer', 'ci_reader', 'ci_migrator']
  LOOP
    BEGIN
      IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role_name) THEN
        EXECUTE format('CREATE ROLE %I NOLOGIN', role_name);
      END IF;
    EXCEPTION WHEN duplicate_object OR unique_violation THEN
      NULL; -- another database of this server is being migrated at the same moment
    END;
  END LOOP;
END
$$;

REVOKE CREATE ON SCHEMA public FROM PUBLIC;
REVOKE ALL ON SCHEMA ops FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO anon, authenticated, service_role, ci_writer, ci_reader;
GRANT USAGE ON SCHEMA ops TO service_role, ci_writer, ci_reader;
GRANT USAGE, CREATE ON SCHEMA public, ops TO ci_migrator;

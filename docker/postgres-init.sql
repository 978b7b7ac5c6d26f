-- Runs once, when the volume is new. Dagster's tables stay apart from the platform's.
CREATE DATABASE dagster;

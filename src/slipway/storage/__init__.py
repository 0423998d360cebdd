"""The instance's storage in Postgres."""

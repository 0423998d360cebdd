"""A code location for tests of profiles and launching on a running platform."""

"""A code location for tests of the launcher; in containers it is a module of the test image."""

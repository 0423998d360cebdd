"""Dagster's definitions; what is put into this package is loaded."""

"""The jaffle shop's project."""

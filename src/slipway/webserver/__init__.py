"""The webserver's process: Dagster's UI on the platform's workspace."""

"""The code server of a location: Dagster's own, started for the project in the working directory."""

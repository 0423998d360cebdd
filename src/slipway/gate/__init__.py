"""The gate: the one service that reaches the Docker socket, and passes on only what the run launcher uses."""

"""The code location that Slipway runs in the benchmark."""

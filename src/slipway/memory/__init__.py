"""The memory of a run: what the kernel counts of it, and what is told and done when it was not enough."""

"""What the benchmarks against stock Dagster share: two stacks, one clock, statistics and tables."""

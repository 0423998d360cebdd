"""Benchmarks: `make bench`. Each module here with a `main()` is one; what they share is in `bench.rig`."""

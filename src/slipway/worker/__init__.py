"""The run worker: the process that executes one run, in its container or in its cgroup."""

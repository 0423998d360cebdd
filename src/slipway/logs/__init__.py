"""Compute logs on S3: the output of steps, and what sensors and schedules log."""

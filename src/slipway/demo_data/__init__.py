"""The jaffle shop's files: one simulated year of a chain of sandwich shops, as a landing would get it.

The files lie in a folder of their own, `<arrival day>/<entity>/<business day>.<format>`: what is under
`006/` arrives on the seventh day. So the folder is the whole truth on what lands and when:

- orders come as CSV, each third day gzipped, and from the seventh month on as Parquet; items as Parquet;
  tweets as JSON lines, each second day gzipped; customers and stores as JSON lines; products and supplies
  as CSV.
- late: a file under a later arrival day than its business day.
- corrected: the same key under two arrival days. The first had errors, the last is right.
- overlapping: some files begin with the last rows of the day before, exactly as they were there.
- broken: one file of tweets ends in the middle of a line.

What a landing holds in the end follows from its objects alone: of each key the last version, without the
broken file, and each id once.
"""

from slipway.demo_data.landing import land, land_sample
from slipway.demo_data.sample import make_sample

__all__ = ["land", "land_sample", "make_sample"]

"""Why a benchmark has nothing to say."""


class BenchmarkFailed(Exception):
    """A stack did not come up, a run did not succeed, or two sides are not alike: there is nothing to measure."""

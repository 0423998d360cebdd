"""An asset that fails at first, for the tests of the stack: its veteran location, whose steps are processes, gets it."""

import sys

import dagster as dg


@dg.asset(retry_policy=dg.RetryPolicy(max_retries=2))
def stumbling(context: dg.AssetExecutionContext) -> None:
    """Fail twice."""
    print(f"this is attempt {context.retry_number}")
    print(f"attempt {context.retry_number} complains", file=sys.stderr)
    if context.retry_number < 2:
        raise RuntimeError("stumbled")

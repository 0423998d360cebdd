"""What code locations import beside `slipway.landing`: the lake, or a DuckDB file, ready to use."""

from slipway.resources.duckdb_file import DuckDBFileResource, duckdb_file_pool
from slipway.resources.io_manager import LakePandasIOManager
from slipway.resources.resource import Claim, LakeResource, LakeUnavailable

__all__ = [
    "Claim",
    "DuckDBFileResource",
    "LakePandasIOManager",
    "LakeResource",
    "LakeUnavailable",
    "duckdb_file_pool",
]

"""What code locations import beside `slipway.landing`: the lake, or a DuckDB file, ready to use."""

from slipway.resources.duckdb_file import DuckDBFileResource, duckdb_file_pool
from slipway.resources.io_manager import LakePandasIOManager
from slipway.resources.resource import Claim, LakeResource

__all__ = ["Claim", "DuckDBFileResource", "LakePandasIOManager", "LakeResource", "duckdb_file_pool"]

"""What code locations import beside `slipway.landing`: the lake, ready to use."""

from slipway.resources.io_manager import LakePandasIOManager
from slipway.resources.resource import Claim, LakeResource

__all__ = ["Claim", "LakePandasIOManager", "LakeResource"]

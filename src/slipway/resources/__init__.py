"""What code locations import beside `slipway.landing`: the lake, ready to use."""

from slipway.resources.resource import Claim, LakeResource, LakeUnavailable

__all__ = ["Claim", "LakeResource", "LakeUnavailable"]

"""Landings: files that arrive in S3, each processed exactly once."""

from slipway.landing.download import LandingUnavailable
from slipway.landing.ledger import ClaimLost
from slipway.landing.resource import Batch, LandedFile, LandingResource
from slipway.landing.sensor import landing_sensor

__all__ = ["Batch", "ClaimLost", "LandedFile", "LandingResource", "LandingUnavailable", "landing_sensor"]

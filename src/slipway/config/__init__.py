"""platform.yaml: the model, its loader and what it refers to."""

from slipway.config.loader import current

__all__ = ["current"]

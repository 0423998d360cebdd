"""`python -m slipway.demo_data FOLDER`: make the sample in a folder, for who wants it made beside other work."""

from __future__ import annotations

import sys
from pathlib import Path

from slipway.demo_data import make_sample

if __name__ == "__main__":
    make_sample(Path(sys.argv[1]))

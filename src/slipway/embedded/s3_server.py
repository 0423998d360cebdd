"""The process of the embedded S3: moto's server without a log line per request.

python -m slipway.embedded.s3_server PORT
"""

from __future__ import annotations

import logging
import sys

from moto.server import main

if __name__ == "__main__":
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    main(["--host", "127.0.0.1", "--port", sys.argv[1]])

"""The image's application: one model behind HTTP, a queue and AWS Lambda."""

from __future__ import annotations

import time

__version__ = "1.0.0"

STARTED = time.perf_counter()
"""When this process began with its own work; `ready` tells how long that took."""

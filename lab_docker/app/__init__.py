"""The image's application: one model behind HTTP, a queue and AWS Lambda."""

from __future__ import annotations

import os
import time

__version__ = "1.0.0"

# onnxruntime from 1.32 on reports its use to its maker unless told not to, before it is loaded.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

STARTED = time.perf_counter()
"""When this process began with its own work; `ready` tells how long that took."""

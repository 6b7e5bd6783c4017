"""Counts in Prometheus' text format (exposition format 0.0.4)."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from typing import Any

BOUNDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
"""Upper bounds of the latency histogram's buckets, in seconds."""

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """What /predict has done since the start. One event loop writes, so no lock is needed."""

    def __init__(self, model: dict[str, Any]) -> None:
        self._model = model
        self._statuses: Counter[int] = Counter()
        self._digits: Counter[int] = Counter()
        self._buckets = [0] * (len(BOUNDS) + 1)
        self._seconds = 0.0

    def observe(self, status: int, seconds: float, predictions: list[dict[str, Any]]) -> None:
        """Count one request: its status, how long it took, and what was read."""
        self._statuses[status] += 1
        self._buckets[bisect_left(BOUNDS, seconds)] += 1
        self._seconds += seconds
        for prediction in predictions:
            self._digits[prediction["digit"]] += 1

    def text(self) -> str:
        """All counts, as GET /metrics gives them."""
        lines = _head("inkdigits_requests_total", "counter", "Requests to /predict, by status.")
        lines += [
            f'inkdigits_requests_total{{status="{status}"}} {count}'
            for status, count in sorted(self._statuses.items())
        ]
        lines += self._histogram()
        lines += _head("inkdigits_predictions_total", "counter", "Digits read, by digit.")
        lines += [
            f'inkdigits_predictions_total{{digit="{digit}"}} {self._digits[digit]}'
            for digit in range(10)
        ]
        lines += _head("inkdigits_model_info", "gauge", "The model that answers.")
        labels = ",".join(f'{key}="{value}"' for key, value in self._model.items())
        lines.append(f"inkdigits_model_info{{{labels}}} 1")
        return "\n".join(lines) + "\n"

    def _histogram(self) -> list[str]:
        name = "inkdigits_request_seconds"
        lines = _head(name, "histogram", "Time from a whole request to its answer.")
        total = 0
        for bound, count in zip((*BOUNDS, "+Inf"), self._buckets, strict=True):
            total += count
            lines.append(f'{name}_bucket{{le="{bound}"}} {total}')
        return [*lines, f"{name}_sum {self._seconds:.6f}", f"{name}_count {total}"]


def _head(name: str, kind: str, help_text: str) -> list[str]:
    return [f"# HELP {name} {help_text}", f"# TYPE {name} {kind}"]

"""One look for every picture: readable on JupyterLab's light and dark theme, safe for colour-blind
readers (Okabe and Ito's palette), with labels rather than colours as the main signal.
"""

from __future__ import annotations

from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.figure import Figure

BLUE, ORANGE, GREEN, VERMILLION = "#0072B2", "#E69F00", "#009E73", "#D55E00"
SKY, PURPLE, YELLOW = "#56B4E9", "#CC79A7", "#F0E442"
CYCLE = [BLUE, ORANGE, GREEN, PURPLE, VERMILLION, SKY]
INK = "#7b8794"
"""Text and axes: a grey with contrast enough on white and on near-black."""
_INK_BELOW = "#75808e"
# Jupyter puts a dark box behind a transparent picture whose tick labels are all light (brighter
# than half), a light one where all are dark. One axis just below half, one just above: no box.

SETTINGS: Any = {
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
    "savefig.transparent": True,
    "figure.dpi": 110,
    "savefig.dpi": 110,
    "font.size": 11,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": INK,
    "axes.titlecolor": INK,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": INK,
    "ytick.color": _INK_BELOW,
    "legend.frameon": False,
    "axes.prop_cycle": cycler(color=CYCLE),
    "svg.hashsalt": "fargate-ml-lab",
}


def axes(width: float = 8.0, height: float = 3.2, *, title: str = "") -> tuple[Figure, Axes]:
    """A figure (inches) with one pair of axes in the lab's style."""
    # rc_context would also restore `interactive`, which Jupyter's backend sets at the first figure:
    # every picture after the first would then not be shown.
    before = {name: mpl.rcParams[name] for name in SETTINGS}
    mpl.rcParams.update(SETTINGS)
    try:
        figure, pair = plt.subplots(figsize=(width, height), layout="constrained")
        pair.set_title(title)
        # No background: the page shows through. Only the patch is hidden, for a figure whose colour
        # is transparent gets a box of JupyterLab's choosing behind it.
        figure.patch.set_visible(False)
    finally:
        mpl.rcParams.update(before)
    return figure, pair

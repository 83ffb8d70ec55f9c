"""Words beside marks, placed where they cover neither each other nor what is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.patheffects import withStroke
from matplotlib.transforms import Bbox

from pipeline.report import style

PADDING = 2.0
_NEAR, _FAR = 7.0, 17.0


@dataclass(frozen=True)
class Label:
    """A word for the place (x, y), in data coordinates."""

    text: str
    at: tuple[float, float]
    colour: str


def put_labels(axes: Axes, labels: Sequence[Label], drawn: npt.NDArray[np.float64]) -> None:
    """Write each label where it covers least of what is `drawn`, data coordinates (k, 2).

    The layout must be settled: places are chosen on the drawn figure.
    """
    obstacles = axes.transData.transform(drawn[np.isfinite(drawn).all(axis=1)])
    frame = axes.get_window_extent()
    legend = axes.get_legend()
    taken: list[Bbox] = [] if legend is None else [legend.get_window_extent()]
    for label in labels:
        text = axes.annotate(
            style.plain(style.short(label.text)),
            label.at,
            xytext=(_NEAR, 0),
            textcoords="offset points",
            fontsize=8,
            color=label.colour,
            zorder=6,
            path_effects=[withStroke(linewidth=2.4, foreground="white")],
        )
        text.set_in_layout(False)
        costs = []
        for offset, horizontal, vertical in _CANDIDATES:
            text.set(position=offset, ha=horizontal, va=vertical)
            box = text.get_window_extent().padded(PADDING)
            costs.append((_cost(box, frame, taken, obstacles), box))
        best = min(range(len(costs)), key=lambda i: costs[i][0])
        offset, horizontal, vertical = _CANDIDATES[best]
        text.set(position=offset, ha=horizontal, va=vertical)
        taken.append(costs[best][1])


_CANDIDATES = tuple(
    ((x * reach, y * reach), {-1: "right", 0: "center", 1: "left"}[x],
     {-1: "top", 0: "center", 1: "bottom"}[y])
    for reach in (_NEAR, _FAR)
    for x, y in ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (1, -1), (-1, 1), (-1, -1))
)  # fmt: skip


def _cost(
    box: Bbox, frame: Bbox, taken: Sequence[Bbox], obstacles: npt.NDArray[np.float64]
) -> float:
    covered = sum(box.overlaps(other) for other in taken)
    leaves = box.x0 < frame.x0 or box.x1 > frame.x1 or box.y0 < frame.y0 or box.y1 > frame.y1
    hits = int(((obstacles >= box.min) & (obstacles <= box.max)).all(axis=1).sum())
    return float(10_000 * covered + 1_000 * leaves + hits)

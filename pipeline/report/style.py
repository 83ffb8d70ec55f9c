"""The look of the figures: colours, scales, marks, numbers, and how an axis is drawn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import xarray as xr
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator
from matplotlib.typing import LineStyleType

from pipeline.report.view import Floats, View
from schemas.layout import TARGET

GREY = "#9a9a9a"
INK = "#22262b"
LOSS_MAP = colormaps["viridis"].with_extremes(bad=GREY)
ACCURACY_MAP = colormaps["cividis"].with_extremes(bad=GREY)
SPREAD_MAP = colormaps["magma"].with_extremes(bad=GREY)
DIFFERENCE_MAP = colormaps["RdBu_r"].with_extremes(bad=GREY)

# Nested shapes: minima that coincide can still be told apart.
TARGET_STYLE = ("*", "#111111", 15.0)
SPLIT_STYLES = (
    ("o", "#d1352b", 10.0),
    ("x", "#1f6fd0", 7.0),
    ("D", "#c77700", 12.0),
    ("^", "#7a3fd0", 13.0),
)
# Okabe and Ito's colours for every eye, without those that the splits resemble, and a brown.
RUN_COLOURS = ("#000000", "#e69f00", "#cc79a7", "#56b4e9", "#009e73", "#8c510a")
LINE_STYLES: tuple[LineStyleType, ...] = ("-", "--", "-.", ":")

TICKS = 7
WIDE_RATIO = 1e3
HEAVY_TAIL = 10.0
LONGEST_NAME = 36


@dataclass(frozen=True)
class Picture:
    """A figure and what is said about it."""

    name: str
    title: str
    caption: str
    alt: str
    figure: Figure


@dataclass(frozen=True)
class Scale:
    """How values become colours; `words` tells the reader when it is not plainly linear."""

    norm: Normalize
    extend: Literal["neither", "both", "min", "max"] = "neither"
    words: str = ""


def finite(*fields: xr.DataArray) -> Floats:
    """All finite values of the fields, in one row."""
    values: Floats = np.concatenate(
        [np.asarray(field.values, dtype=np.float64).ravel() for field in fields]
    )
    return values[np.isfinite(values)]


def is_flat(values: Floats) -> bool:
    """Whether values are all equal, to rounding; nothing counts as flat."""
    return values.size == 0 or float(np.ptp(values)) <= 1e-12 * float(np.abs(values).max())


def sequential(*fields: xr.DataArray) -> Scale:
    """The common scale of the fields: linear, logarithmic over decades, or cut above a far tail."""
    values = finite(*fields)
    if values.size == 0:
        return Scale(Normalize(0.0, 1.0))
    least, greatest = float(values.min()), float(values.max())
    if is_flat(values):
        pad = max(1e-3 * abs(least), 1e-3)
        return Scale(Normalize(least - pad, greatest + pad))
    if least > 0 and greatest >= WIDE_RATIO * least:
        return Scale(LogNorm(least, greatest), words="The colour scale is logarithmic.")
    high = float(np.quantile(values, 0.9))
    if high > least and greatest - least > HEAVY_TAIL * (high - least):
        words = (
            f"The colour scale ends at the 90 % quantile, {number(high)}; the greatest value is "
            f"{number(greatest)}."
        )
        return Scale(Normalize(least, high), "max", words)
    return Scale(Normalize(least, greatest))


def comparable(fields: Sequence[xr.DataArray]) -> bool:
    """Whether one scale can show all the fields: together they span at most twice the widest."""
    spans = [float(np.ptp(values)) for values in map(finite, fields) if values.size]
    return not spans or float(np.ptp(finite(*fields))) <= 2 * max(spans)


def diverging(*fields: xr.DataArray) -> Scale:
    """A scale symmetric about zero."""
    values = np.abs(finite(*fields))
    reach = float(values.max()) if values.size else 0.0
    if reach == 0:
        return Scale(Normalize(-1.0, 1.0))
    high = float(np.quantile(values, 0.98))
    if high > 0 and reach > HEAVY_TAIL * high:
        words = (
            f"The colour scale ends at ±{number(high)}; the greatest magnitude is {number(reach)}."
        )
        return Scale(Normalize(-high, high), "both", words)
    return Scale(Normalize(-reach, reach))


def number(value: float) -> str:
    """A number as one reads it: four significant digits, a true minus sign, ∞, or a dash."""
    if np.isnan(value):
        return "–"
    if np.isinf(value):
        return "∞" if value > 0 else "−∞"
    if float(value).is_integer() and abs(value) < 1e6:
        return f"{int(value):,}".replace("-", "−")
    mantissa, _, exponent = f"{value:.4g}".partition("e")
    text = mantissa.replace("-", "−")
    return f"{text}·10{_superscript(int(exponent))}" if exponent else text


def short(text: str, most: int = LONGEST_NAME) -> str:
    """A name cut in its middle to at most `most` characters."""
    half = (most - 1) // 2
    return text if len(text) <= most else f"{text[: most - 1 - half]}…{text[-half:]}"


def plain(text: str) -> str:
    """Text for a figure: no mathematics, and a box for what the font cannot draw."""
    font = get_font(findfont(FontProperties()))
    drawn = "".join(char if font.get_char_index(ord(char)) else "□" for char in text)
    return drawn.replace("$", r"\$")


def dress(axes: Axes, view: View, horizontal: str, vertical: str | None = None) -> None:
    """Label and scale the axes of a panel after the coordinates they show."""
    axes.set_xlabel(plain(horizontal + view.units(horizontal)))
    if horizontal in view.logs:
        _logarithmic(axes.set_xscale, view, horizontal)
    if vertical is not None:
        axes.set_ylabel(plain(vertical + view.units(vertical)))
        if vertical in view.logs:
            _logarithmic(axes.set_yscale, view, vertical)
    for axis in (axes.xaxis, axes.yaxis):
        if axis.get_scale() == "linear":
            axis.set_major_locator(MaxNLocator(TICKS, steps=[1, 2, 2.5, 5, 10]))
    axes.tick_params(labelsize=8, color=INK)


def mark_style(view: View, key: str) -> tuple[str, str, float]:
    """Marker, colour and size of the minimum of a split or of the target."""
    if key == TARGET:
        return TARGET_STYLE
    return SPLIT_STYLES[view.splits.index(key) % len(SPLIT_STYLES)]


def split_colour(view: View, split: str) -> str:
    """The colour of a split wherever it is a line or a mark."""
    return mark_style(view, split)[1]


def mark_label(key: str) -> str:
    """What the legend calls a minimum."""
    return plain(f"minimum of {key}")


def run_style(number: int) -> tuple[str, LineStyleType]:
    """Colour and line of the run of that number, 0, 1, …."""
    turn, place = divmod(number, len(RUN_COLOURS))
    return RUN_COLOURS[place], LINE_STYLES[turn % len(LINE_STYLES)]


def legend(
    figure: Figure,
    view: View,
    fields: Sequence[xr.DataArray],
    marks: bool = True,
    more: Sequence[Line2D] = (),
) -> None:
    """One legend below the panels: the minima, grey where a value is not finite, and `more`."""
    handles: list[Line2D | Patch] = []
    for mark in view.marks if marks else ():
        marker, colour, size = mark_style(view, mark.key)
        handles.append(
            Line2D(
                [],
                [],
                linestyle="none",
                marker=marker,
                markersize=size * 0.8,
                label=mark_label(mark.key),
                markerfacecolor="none" if marker != "*" else "white",
                markeredgecolor=colour,
                markeredgewidth=1.6,
            )
        )
    if any(bool(field.isnull().any()) for field in fields):
        handles.append(Patch(facecolor=GREY, label="no finite value"))
    legend_below(figure, [*handles, *more])


def legend_below(figure: Figure, handles: Sequence[Line2D | Patch]) -> None:
    """The handles below the panels, in as many columns as the figure is wide enough for."""
    if handles:
        figure.legend(
            handles=list(handles),
            loc="outside lower center",
            ncols=legend_columns(figure, handles),
            frameon=False,
            fontsize=9,
        )


def legend_columns(figure: Figure, handles: Sequence[Line2D | Patch]) -> int:
    """How many handles stand side by side below the panels, at most five."""
    longest = max(len(line) for handle in handles for line in str(handle.get_label()).split("\n"))
    columns = int(figure.get_figwidth() // (0.6 + 0.075 * longest))
    return max(1, min(5, columns, len(handles)))


def grey_words(fields: Sequence[xr.DataArray]) -> str:
    """The sentence that counts what is drawn grey; empty when nothing is."""
    missing = sum(int(field.isnull().sum()) for field in fields)
    total = sum(field.size for field in fields)
    return f"Grey: no finite value ({missing:,} of {total:,} drawn)." if missing else ""


def sentences(*parts: str) -> str:
    """The parts that are not empty, as one paragraph."""
    return " ".join(part for part in parts if part)


def _logarithmic(set_scale: Callable[..., None], view: View, axis: str) -> None:
    coordinates = view.full[axis].values
    if coordinates.min() > 0:
        set_scale("log")
    else:  # a negative log axis: the linear part of this scale lies beyond its coordinates
        set_scale("symlog", linthresh=float(np.abs(coordinates).min()) / 10)


def _superscript(value: int) -> str:
    return str(value).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))


def listed(words: Sequence[str]) -> str:
    """`a, b and c`."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"

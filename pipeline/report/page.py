"""The page of a scan, one self-contained HTML file, and how any page and picture is written."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

import jinja2
import numpy as np
import xarray as xr
from markupsafe import Markup
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image, ImageChops
from plotly.offline import get_plotlyjs

from pipeline.report import (
    figure_path,
    figures_1d,
    figures_2d,
    figures_nd,
    figures_starts,
    interactive,
    sections,
    summary,
)
from pipeline.report.figure_runs import the_runs
from pipeline.report.figures_descents import descents
from pipeline.report.figures_nd import TARGET_ALONE
from pipeline.report.local_minima import local_minima
from pipeline.report.starts import is_multi_start, look_at_starts
from pipeline.report.style import Picture, number, sentences
from pipeline.report.summary import Row
from pipeline.report.transfer import transfer
from pipeline.report.view import View, look
from schemas.study import Verdict

RESOLUTION = 144
MARGIN = round(0.1 * RESOLUTION)
PIXELS_PER_CSS_PIXEL = 1.5
INDEX = "index.html"


@dataclass(frozen=True)
class Shown:
    """A picture as the page holds it."""

    name: str
    title: str
    caption: str
    alt: str
    inline: str
    width: int
    height: int


@dataclass(frozen=True)
class Report:
    """A scan's page and the pictures it holds, in their order."""

    page: Path
    pictures: tuple[Shown, ...]

    @property
    def leading(self) -> Shown | None:
        """The first picture that shows the scan itself, not only its target; None of a point."""
        return next((shown for shown in self.pictures if shown.name != TARGET_ALONE), None)

    def picture(self, name: str) -> Shown | None:
        """The picture of that name, None if there is none."""
        return next((shown for shown in self.pictures if shown.name == name), None)


@dataclass(frozen=True)
class Explorer:
    """The interactive part of the page."""

    kind: str
    words: str
    data: Markup
    scripts: list[Markup]


def write_report(
    scan: xr.DataTree,
    rows: Iterable[Row],
    out: Path,
    *,
    title: str,
    store: str,
    verdicts: Sequence[Verdict] = (),
) -> Report:
    """Write `out/index.html` and its figures as PNG beside it.

    `rows` are the analysis's table: (group, name, split, value, long name). A grid larger than
    what can be drawn is thinned before it is loaded, and the page says so. The verdicts on the
    task's claims come first.
    """
    out.mkdir(parents=True, exist_ok=True)
    found = _of_starts(scan) if is_multi_start(scan) else _of_grid(scan)
    shown = [save(picture, out) for picture in found.pictures]
    attrs = scan.attrs
    page = render(
        "page.html",
        title=title,
        lead=found.lead,
        notices=[*summary.missing(scan), *found.notices],
        verdicts=[verdict_line(verdict) for verdict in verdicts],
        cards=summary.cards(scan, found.reference),
        first=shown[:1],
        rest=shown[1:],
        explorer=found.explorer,
        tables=[*summary.tables(rows), *summary.descent(scan), *found.tables],
        identity=[("store", store), *summary.identity(attrs)],
        ledger=summary.ledger(scan),
        section=sections.described(scan),
        **{name: summary.parsed(attrs, name) for name in ("facts", "reference", "versions")},
        spec=summary.spec_yaml(attrs),
        snippet=summary.snippet(found.reference, store),
    )
    return Report(write_page(page, out), tuple(shown))


@dataclass(frozen=True)
class _Content:
    """What a page has of the points of a scan."""

    lead: str
    reference: str
    pictures: list[Picture]
    notices: list[str]
    tables: list[summary.Table]
    explorer: Explorer | None = None


def _of_grid(scan: xr.DataTree) -> _Content:
    view = look(scan)
    return _Content(
        lead=summary.lead(view),
        reference=view.reference,
        pictures=pictures(view),
        notices=summary.reductions(view),
        tables=[*local_minima(scan), *sections.runs(view), *sections.directions(scan)],
        explorer=explorer(view),
    )


def _of_starts(scan: xr.DataTree) -> _Content:
    view = look_at_starts(scan)
    return _Content(
        lead=summary.lead_of_starts(view),
        reference=view.splits[0].name,
        pictures=figures_starts.figures(view),
        notices=[],
        tables=[],
    )


def verdict_line(verdict: Verdict) -> dict[str, object]:
    """A verdict's fields as a page shows them."""
    value = "–" if verdict.value is None else number(verdict.value)
    return {**asdict(verdict), "value": value, "as_expected": verdict.as_expected}


def pictures(view: View) -> list[Picture]:
    """Every static figure of a scan; none of a single point."""
    if not view.axes:
        return []
    one = figure_path.figures if view.along_path else figures_1d.figures
    kinds = {1: one, 2: figures_2d.figures}
    drawn = kinds.get(len(view.axes), figures_nd.figures)(view)
    if view.runs:
        drawn.insert(1, the_runs(view))
    drawn += descents(view)
    return [*drawn, transfer(view)] if len(view.splits) > 1 else drawn


def explorer(view: View) -> Explorer | None:
    """The interactive part; None for fewer than two axes."""
    if len(view.axes) < 2:
        return None
    if len(view.axes) == 2:
        words = sentences(
            "Drag to turn, scroll to zoom, hover to read a value. The pin stands on the minimum.",
            "Training runs lie on the surface at their projections; hovering over a checkpoint "
            "shows its own loss beside the surface's. The legend hides a run or shows it."
            if view.runs
            else "",
            view.reduced_words(interactive.MOST_PER_AXIS),
        )
        return Explorer(
            kind="surface",
            words=words,
            data=script_data(interactive.surface(view)),
            scripts=[Markup(get_plotlyjs()), asset("surface.js")],  # noqa: S704
        )
    shape = " × ".join(str(view.thin.sizes[axis]) for axis in view.axes)
    reduced = f" The grid is reduced to {shape} points here." if view.reduced else ""
    return Explorer(
        kind="cube",
        words="Every panel cuts through the same point, one panel for each pair of axes. Click or "
        "drag in one, or move a slider, and the others follow." + reduced,
        data=script_data(interactive.cube(view)),
        scripts=[asset("cuts.js")],
    )


def save(picture: Picture, out: Path) -> Shown:
    """Write a picture's PNG, and return it as the page holds it."""
    image, buffer = drawn(picture.figure), io.BytesIO()
    image.save(buffer, format="png", dpi=(RESOLUTION, RESOLUTION))
    (out / f"{picture.name}.png").write_bytes(buffer.getvalue())
    return Shown(
        name=picture.name,
        title=picture.title,
        caption=picture.caption,
        alt=picture.alt,
        inline=inline(buffer.getvalue()),
        width=round(image.width / PIXELS_PER_CSS_PIXEL),
        height=round(image.height / PIXELS_PER_CSS_PIXEL),
    )


def drawn(figure: Figure) -> Image.Image:
    """A figure on white, cut to what is on it and a margin of a tenth of an inch.

    It is laid out and drawn once, where matplotlib's own `bbox_inches="tight"` does so twice.
    """
    figure.set_dpi(RESOLUTION)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()  # type: ignore[no-untyped-call]
    pixels = np.asarray(canvas.buffer_rgba())  # type: ignore[no-untyped-call]
    image = Image.fromarray(pixels).convert("RGB")
    found = ImageChops.invert(image).getbbox()
    if found is None:
        return image
    left, top, right, bottom = found
    return image.crop(
        (
            max(0, left - MARGIN),
            max(0, top - MARGIN),
            min(image.width, right + MARGIN),
            min(image.height, bottom + MARGIN),
        )
    )


def render(template: str, **content: object) -> str:
    """The HTML of a template of this package, filled."""
    return _templates().get_template(template).render(css=asset("style.css"), **content)


@cache
def _templates() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.PackageLoader("pipeline", "report"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )


def asset(name: str) -> Markup:
    """The text of a file of this package, as it stands in a page."""
    return Markup(files("pipeline.report").joinpath(name).read_text(encoding="utf-8"))  # noqa: S704


def script_data(text: str) -> Markup:
    """JSON as it may stand in a script element."""
    # JSON within a script element: no tag may open or close in it
    return Markup(text.replace("<", "\\u003c"))  # noqa: S704


def inline(content: bytes) -> str:
    """A picture's bytes as they stand in a page."""
    return base64.b64encode(content).decode("ascii")


def write_page(page: str, out: Path) -> Path:
    """Write `out/index.html`; return its path."""
    path = out / INDEX
    path.write_text(page, encoding="utf-8")
    return path

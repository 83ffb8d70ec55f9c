"""The report's figures alone, and one self-contained interactive page."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import jinja2
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from pipeline.exporting.curves import curves
from pipeline.exporting.files import whole
from pipeline.exporting.selection import Selection
from pipeline.report import figures_starts, summary
from pipeline.report.page import Explorer, explorer, pictures, save, script_data
from pipeline.report.starts import is_multi_start, look_at_starts
from pipeline.report.view import View, look
from schemas.errors import SpecError


def check(selection: Selection) -> None:
    """SpecError when all axes are held: a point is no picture."""
    if not selection.free and not is_multi_start(selection.tree):
        raise SpecError(
            "format: the selection is a single point, which cannot be drawn; use format csv"
        )


def write_figures(selection: Selection, path: Path) -> list[Path]:
    """Write the report's figures as PNG into a folder."""
    tree = selection.tree
    starts = is_multi_start(tree)
    drawn = figures_starts.figures(look_at_starts(tree)) if starts else pictures(look(tree))
    written = []
    for picture in drawn:
        written.append(path / f"{picture.name}.png")
        with whole(written[-1]) as partial:
            save(picture, partial.parent)
    return written


def write_page(selection: Selection, path: Path) -> list[Path]:
    """Write a page that needs nothing else: curves, a surface to turn, or linked cuts.

    Grids larger than a browser can hold are thinned, and the page says so.
    """
    view = look(selection.tree)
    shown = explorer(view) or _curves_explorer(view)
    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader(
            [
                jinja2.PackageLoader("pipeline", "exporting"),
                jinja2.PackageLoader("pipeline", "report"),
            ]
        ),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    page = environment.get_template("explore.html").render(
        css=Markup(_text("pipeline.report", "style.css")),  # noqa: S704
        title=str(selection.root.attrs["title"]),
        lead=summary.lead(view),
        notices=[*summary.missing(selection.tree), *summary.reductions(view)],
        explorer=shown,
    )
    with whole(path) as partial:
        partial.write_text(page, encoding="utf-8")
    return [path]


def _curves_explorer(view: View) -> Explorer:
    note = view.reduced_words(view.thin.sizes[view.axes[0]])
    return Explorer(
        kind="surface",
        words=f"Drag to zoom, double-click to zoom out, click the legend to hide. {note}".strip(),
        data=script_data(curves(view)),
        scripts=[
            Markup(get_plotlyjs()),  # noqa: S704
            Markup(_text("pipeline.exporting", "lines.js")),  # noqa: S704
        ],
    )


def _text(package: str, name: str) -> str:
    return files(package).joinpath(name).read_text(encoding="utf-8")

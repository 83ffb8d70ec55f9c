"""Surfaces of several scans of a study, side by side with one colour scale."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from matplotlib.figure import Figure

from pipeline.report import style
from pipeline.report.panels import COLOUR_BAR, Panel
from pipeline.report.panels import draw as draw_panel
from pipeline.report.study_figures import picture_name
from pipeline.report.style import Picture
from pipeline.report.view import look
from schemas.study import Surfaces


def draw(name: str, surfaces: Surfaces, scans: Mapping[str, Any]) -> Picture:
    """The loss of each scan on its first split, name → xarray.DataTree, in one row.

    Raises:
        ValueError: a scan does not have two axes.
    """
    views = {title: look(scans[scan]) for title, scan in surfaces.panels.items()}
    for title, view in views.items():
        if len(view.axes) != 2:
            raise ValueError(
                f"surfaces {name}: scan {surfaces.panels[title]} has {len(view.axes)} axes; "
                "expected two"
            )
    losses = {title: view.loss(view.reference) for title, view in views.items()}
    scale = style.sequential(*losses.values())
    figure = Figure(figsize=(4.6 * len(views) + 0.4, 4.4), layout="constrained")
    row = figure.subplots(1, len(views), squeeze=False)[0]
    for axes, (title, view) in zip(row, views.items(), strict=True):
        mesh = draw_panel(axes, view, Panel(title, losses[title], scale, marks=False))
    beside = row[-1].inset_axes((1.04, 0.0, 0.05, 1.0), label=COLOUR_BAR)
    figure.colorbar(mesh, cax=beside, extend=scale.extend).set_label("loss", fontsize=9)
    beside.tick_params(labelsize=8)
    return Picture(
        name=picture_name(name),
        title=surfaces.title,
        caption=style.sentences(
            surfaces.caption,
            "Contour lines are at the same losses in all of them.",
            scale.words,
            style.grey_words(list(losses.values())),
        ),
        alt=f"{surfaces.title}. Colour maps of the loss: {style.listed(list(views))}",
        figure=figure,
    )

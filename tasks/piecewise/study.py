"""The study `piecewise-linear`: bad local minima of piecewise-linear networks, and their cells.

Yun, Sra & Jadbabaie 2019, arXiv:1802.03487; He, Wang & Tao 2020, arXiv:2003.12236.
"""

from __future__ import annotations

from schemas.scan import parse_spec
from schemas.study import Study
from tasks.piecewise.cells_claims import cell_claims
from tasks.piecewise.cells_figures import cell_figures, cell_surfaces, cell_tables
from tasks.piecewise.cells_scans import cell_scans
from tasks.piecewise.minimum_claims import minimum_claims
from tasks.piecewise.minimum_figures import minimum_figures, minimum_surfaces
from tasks.piecewise.minimum_scans import minimum_scans, sizes
from tasks.piecewise.minimum_tables import minimum_tables


def piecewise_study(quick: bool) -> Study:
    """The study on 24 networks with four data sets each, or on four with two."""
    size = sizes(quick)
    scans = {**minimum_scans(size), **cell_scans(quick)}
    return Study(
        name="piecewise-linear",
        summary="Networks of piecewise-linear units have local minima as high as the best affine "
        "function, at any depth, proved with a radius, and points that are lower; there are "
        "infinitely many. Within an activation cell every minimum is as low as any.",
        scans={
            name: parse_spec(raw, f"study piecewise-linear, {name}") for name, raw in scans.items()
        },
        claims=(*minimum_claims(size), *cell_claims()),
        figures={**minimum_figures(), **cell_figures()},
        tables={**minimum_tables(size), **cell_tables()},
        surfaces={**minimum_surfaces(size), **cell_surfaces()},
        cover="plane:surfaces",
    )

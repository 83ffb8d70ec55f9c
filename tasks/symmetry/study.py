"""The study `symmetry`: what copies and permutations of hidden units do to the loss surface.

Şimşek et al. 2021, arXiv:2105.12221; Fukumizu & Amari 2000, Neural Networks 13.
"""

from __future__ import annotations

from schemas.scan import parse_spec
from schemas.study import Study
from tasks.symmetry.count_claims import count_claims
from tasks.symmetry.count_figures import count_figures
from tasks.symmetry.count_tables import count_tables
from tasks.symmetry.critical_claims import critical_claims
from tasks.symmetry.critical_figures import critical_figures, critical_surfaces, critical_tables
from tasks.symmetry.critical_scans import critical_scans
from tasks.symmetry.manifold_claims import manifold_claims
from tasks.symmetry.manifold_figures import manifold_figures, manifold_tables
from tasks.symmetry.manifold_scans import FULL, QUICK, manifold_scans
from tasks.symmetry.training_claims import training_claims
from tasks.symmetry.training_figures import training_figures
from tasks.symmetry.training_scans import training_scans
from tasks.symmetry.training_tables import training_tables


def symmetry_study(quick: bool) -> Study:
    """The study, or if quick with fewer subspaces, paths and descents."""
    sizes = QUICK if quick else FULL
    scans = {
        **manifold_scans(sizes),
        **critical_scans(quick),
        **training_scans(quick),
    }
    return Study(
        name="symmetry",
        summary="Copies of hidden units make a student equal its teacher on as many affine "
        "subspaces as are counted, connected as soon as there is one unit to spare. The same "
        "copies of a critical point are critical points; whether these are strict saddles or "
        "local minima depends on the unit that is copied. Students with units to spare come to "
        "zero loss more often.",
        scans={name: parse_spec(raw, f"study symmetry, {name}") for name, raw in scans.items()},
        claims=(
            *count_claims(),
            *manifold_claims(sizes),
            *critical_claims(quick),
            *training_claims(quick),
        ),
        figures={
            **count_figures(),
            **manifold_figures(sizes),
            **critical_figures(quick),
            **training_figures(quick),
        },
        tables={
            **count_tables(),
            **manifold_tables(sizes),
            **critical_tables(quick),
            **training_tables(quick),
        },
        surfaces=critical_surfaces(quick),
        cover="subspace-meetings",
    )

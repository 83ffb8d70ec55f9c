"""The study `no-bad-valleys`: networks whose hidden units lead straight to the outputs.

Nguyen, Mukkamala & Hein 2018, arXiv:1809.10749.
"""

from __future__ import annotations

from schemas.scan import parse_spec
from schemas.study import Study
from tasks.skips import claims, figures, scans, tables
from tasks.skips.training import scans as training
from tasks.skips.training.claims import training_claims
from tasks.skips.training.figures import training_figures
from tasks.skips.training.tables import training_tables


def no_bad_valleys_study(quick: bool) -> Study:
    """The study, with 200 starts of each activation and planes of 201 × 201 points, or few."""
    sizes = scans.QUICK if quick else scans.FULL
    trained = training.QUICK if quick else training.FULL
    raw = {**scans.all_scans(sizes), **training.training_scans(trained)}
    return Study(
        name="no-bad-valleys",
        summary="Networks whose hidden units, as many as samples, also lead straight to the "
        "outputs have no bad local valleys: from anywhere the loss can fall to nearly zero "
        "without rising. What they look like, and how they train, beside those without.",
        scans={
            name: parse_spec(each, f"study no-bad-valleys, {name}") for name, each in raw.items()
        },
        claims=(
            *claims.path_claims(),
            *claims.lemma_claims(),
            *claims.derivative_claims(),
            *claims.surface_claims(sizes.near),
            *training_claims(trained),
        ),
        figures={**figures.figures(), **training_figures(trained)},
        tables={**tables.tables(sizes.near), **training_tables()},
        surfaces=figures.pairs(sizes.near),
        cover="surfaces-sigmoid",
    )

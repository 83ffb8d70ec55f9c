"""What is claimed of Θ: its subspaces, all of its points, and the paths that connect them.

Şimşek et al. 2021, arXiv:2105.12221. The statistics are in `manifold_measures`; a control is the
same claim where its hypothesis is broken.
"""

from __future__ import annotations

from dataclasses import replace

from schemas.study import Claim
from tasks.symmetry import manifold_measures as measures
from tasks.symmetry import manifold_scans as scans
from tasks.symmetry.manifold_scans import ManifoldSizes, of_kind

PAPER = "Şimşek et al. 2021, arXiv:2105.12221"
MANIFOLD = f"{PAPER}, the expansion manifold"
CONNECTED = f"{PAPER}, that the expansion manifold is connected"

SUBSPACES, ENDS, FOUND, PATHS = "subspaces", "ends-table", "zero-ends", "swap-paths"
"""Tables and figures of the study."""

_ROUNDING = 1e-25
_PATH_ROUNDING = 1e-28
_RISES = 1e-12
_QUADRATIC = 0.05
_BARRIER = 1e-3


def manifold_claims(sizes: ManifoldSizes) -> list[Claim]:
    """All that can be judged by the scans of these sizes."""
    return [*_subspace_claims(sizes), *_end_claims(sizes), *_path_claims(sizes)]


def _subspace_claims(sizes: ManifoldSizes) -> list[Claim]:
    families = [family.name for family in sizes.families]
    zero = Claim(
        name="zero-on-subspaces",
        statement="on every affine subspace of Θ, at random points and along random ways within, "
        "a student equals its teacher: greatest loss",
        source=MANIFOLD,
        statistic=measures.greatest_on_subspaces(families),
        threshold=_ROUNDING,
        sense="at most",
        figure=SUBSPACES,
        hypothesis=measures.on_subspaces(families),
    )
    rises = Claim(
        name="rises-off-subspaces",
        statement=f"at a distance of {scans.NEAR:g} along random ways out of them the loss is "
        "positive: least loss",
        source=MANIFOLD,
        statistic=measures.least_off_subspaces(families),
        threshold=_RISES,
        sense="at least",
        figure=SUBSPACES,
        hypothesis=measures.ways_out(families, "out"),
    )
    quadratic = Claim(
        name="quadratic-off-subspaces",
        statement="along random ways out of a subspace the loss grows as the square of the "
        "distance: greatest difference of its power from 2",
        source=MANIFOLD,
        statistic=measures.greatest_from_quadratic(families),
        threshold=_QUADRATIC,
        sense="at most",
        figure=SUBSPACES,
        hypothesis=measures.on_subspaces(families),
    )
    within = replace(
        rises,
        statistic=measures.least_within(families),
        hypothesis=measures.ways_out(families, "within"),
    )
    found = [zero, rises, within.as_control("rises-within", "within the subspaces"), quadratic]
    words = {
        scans.EXCESS: "where the output weights of copies sum to 0.1 too much",
        scans.NOISE: "where noise is added to what the teacher puts out",
    }
    for name in sizes.controls:
        assumed = measures.on_subspaces([name])
        wrong = replace(zero, statistic=measures.greatest_on_subspaces([name]), hypothesis=assumed)
        found.append(wrong.as_control(f"zero-on-{name}", words[name]))
        power = replace(
            quadratic, statistic=measures.greatest_from_quadratic([name]), hypothesis=assumed
        )
        found.append(power.as_control(f"quadratic-off-{name}", words[name]))
    return found


def _end_claims(sizes: ManifoldSizes) -> list[Claim]:
    found = [_end_claim(name) for name in of_kind(sizes.ends, scans.ENDS, scans.ENDS_WIDER)]
    for name, activation in ((scans.ENDS_TANH, "tanh"), (scans.ENDS_SIGMOID, "sigmoid")):
        if name in sizes.ends:
            found.append(_end_claim(name).as_control(f"{name}-in-theta", f"with {activation}"))
    return found


def _end_claim(name: str) -> Claim:
    return Claim(
        name=f"{name}-in-theta",
        statement="all points of zero loss lie in Θ: greatest distance from it of where descents "
        f"from random starts end at a loss of {measures.ZERO:g} or less",
        source=f"{PAPER}, for activations without parity symmetry",
        statistic=measures.greatest_distance(name),
        threshold=measures.IN_THETA,
        sense="at most",
        figure=FOUND,
        hypothesis=measures.without_parity(name),
    )


def _path_claims(sizes: ManifoldSizes) -> list[Claim]:
    swaps = of_kind(sizes.paths, scans.SWAP, scans.CYCLE, scans.DEEP)
    lines = of_kind(sizes.paths, scans.LINE, scans.DEEP_LINE)
    flat = Claim(
        name="swaps-at-zero",
        statement="with one spare unit in each hidden layer units change places at zero loss, in "
        "seven straight steps for each exchange: greatest loss on the way",
        source=CONNECTED,
        statistic=measures.greatest_along(swaps),
        threshold=_PATH_ROUNDING,
        sense="at most",
        figure=PATHS,
        hypothesis=measures.through_spare(swaps),
    )
    line = replace(
        flat, statistic=measures.greatest_along(lines), hypothesis=measures.through_spare(lines)
    )
    barrier = Claim(
        name="barrier-on-line",
        statement="straight from one to the other the loss rises above both: least rise",
        source=CONNECTED,
        statistic=measures.least_barrier(lines),
        threshold=_BARRIER,
        sense="at least",
        figure=PATHS,
        hypothesis=measures.straight(lines),
    )
    no_barrier = replace(
        barrier, statistic=measures.least_barrier(swaps), hypothesis=measures.straight(swaps)
    )
    found = [
        flat,
        line.as_control("line-at-zero", "straight instead"),
        barrier,
        no_barrier.as_control("barrier-on-swap", "through the spare unit instead"),
    ]
    if scans.BARE in sizes.paths:
        bare = replace(
            flat,
            statistic=measures.greatest_along([scans.BARE]),
            hypothesis=measures.through_spare([scans.BARE]),
        )
        words = "with no unit to spare, m = r, one moved onto the other"
        found.append(bare.as_control("bare-at-zero", words))
    return found

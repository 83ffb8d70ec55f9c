"""What is claimed of a neuron of many minima, and of one that has a teacher.

Auer, Herbster & Warmuth 1995, "Exponentially many local minima for single neurons", NIPS 8. The
statistics are in `tasks.neuron.measures`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from schemas.study import Claim
from tasks.neuron import measures

PAPER = "Auer, Herbster & Warmuth 1995, NIPS 8"
MANY = f"{PAPER}, Theorem 3.4"
WITH_BIAS = f"{PAPER}, Theorem 4.1"
EXAMPLE = f"{PAPER}, the example of two minima"
MATCHING = f"{PAPER}, on matching losses"
REALIZABLE = f"{PAPER}, Theorem 5.1"

PLACES = 1e-6
VALUES = 1e-9
RISE = 100.0


def minima_multiply(
    scan: str,
    d: int,
    n: int,
    *,
    words: str = "",
    figure: str | None = None,
    on_grid: bool = True,
) -> Claim:
    """⌊n/d⌋^d minima; `on_grid` says whether the grid's axes are those of the inputs."""
    expected = (n // d) ** d
    return Claim(
        name=f"{scan}-minima",
        statement=f"{n} examples on the axes of {d} {_inputs(d)}{words} make ⌊n/d⌋^d = {expected} "
        "local minima, no more and no less: difference of the number found from that",
        source=MANY,
        statistic=measures.miscount(scan, expected),
        threshold=0.0,
        sense="at most",
        figure=figure or scan,
        hypothesis=measures.separated(scan, on_grid=on_grid),
    )


def minima_with_bias(scan: str, d: int, n: int) -> Claim:
    """⌊n/2d⌋^d minima of a neuron with a bias."""
    expected = (n // (2 * d)) ** d
    return Claim(
        name=f"{scan}-minima",
        statement=f"with a bias, {n} examples (x, y) and (−x, 1−y) on the axes of {d} {_inputs(d)} "
        f"make ⌊n/2d⌋^d = {expected} local minima: difference of the number found from that",
        source=WITH_BIAS,
        statistic=measures.miscount(scan, expected),
        threshold=0.0,
        sense="at most",
        figure=scan,
        hypothesis=measures.separated(scan),
    )


def minima_in_place(scan: str) -> list[Claim]:
    """The minima are where those of one weight each are, and as deep."""
    place = Claim(
        name=f"{scan}-places",
        statement="the refined minima of the grid are where the derivatives of the functions of "
        "one weight vanish: greatest relative difference of a weight",
        source=MANY,
        statistic=measures.misplaced(scan),
        threshold=PLACES,
        sense="at most",
        figure=scan,
        hypothesis=measures.separable(scan),
    )
    value = replace(
        place,
        name=f"{scan}-values",
        statement="the losses at the refined minima are the sums of those of the functions of one "
        "weight: greatest difference",
        statistic=measures.misvalued(scan),
        threshold=VALUES,
    )
    return [place, value]


def published_minima(scan: str) -> list[Claim]:
    """The two minima of the published example."""
    number = Claim(
        name=f"{scan}-minima",
        statement="the examples (10, 0.55) and (0.7, 0.25) make two local minima: difference of "
        "the number found from that",
        source=EXAMPLE,
        statistic=measures.miscount(scan, 2),
        threshold=0.0,
        sense="at most",
        figure=scan,
        hypothesis=measures.bounded(scan),
    )
    return [number, *(replace(claim, source=EXAMPLE) for claim in minima_in_place(scan))]


def convex(scan: str, words: str) -> Claim:
    """The matching loss is convex."""
    return Claim(
        name=f"{scan}-is-convex",
        statement=f"the error of {words} is convex: part of the grid where it is",
        source=MATCHING,
        statistic=measures.convexity(scan),
        threshold=1.0,
        sense="at least",
        figure=scan,
        hypothesis=measures.matching(scan),
    )


def one_minimum(scan: str) -> Claim:
    """The matching loss has one minimum."""
    return Claim(
        name=f"{scan}-has-one-minimum",
        statement="the entropic loss of the same examples has one local minimum: difference of the "
        "number found from that",
        source=MATCHING,
        statistic=measures.miscount(scan, 1),
        threshold=0.0,
        sense="at most",
        figure=scan,
        hypothesis=measures.matching(scan),
    )


def rises(scan: str, words: str) -> Claim:
    """The loss increases along rays from the teacher."""
    return Claim(
        name=f"{scan}-rise",
        statement=f"from w₀ the error of {words} increases strictly along every ray: least rise of "
        "a step, in units of the loss's rounding",
        source=REALIZABLE,
        statistic=measures.least_rise(scan),
        threshold=RISE,
        sense="at least",
        figure="rays",
        hypothesis=measures.from_a_teacher(scan),
    )


def descents_find_all(scan: str) -> Claim:
    """Descents end at every minimum, the spurious ones among them."""
    return Claim(
        name=f"{scan}-end-at-minima",
        statement="descents from starts over all scales end at every one of the known minima and "
        "nowhere else: minima that none has found, and ends that are none",
        source=MANY,
        statistic=measures.unreached(scan),
        threshold=0.0,
        sense="at most",
        figure=scan,
        hypothesis=measures.separated(scan, on_grid=False),
    )


def descents_get_stuck(scan: str) -> Claim:
    """Most descents end at a spurious minimum."""
    return Claim(
        name=f"{scan}-get-stuck",
        statement="most descents from starts over all scales end at a local minimum above the "
        "global one: part of them",
        source=MANY,
        statistic=measures.spurious_share(scan),
        threshold=0.5,
        sense="at least",
        figure=scan,
        hypothesis=measures.separated(scan, on_grid=False),
    )


def too_close(scans: Sequence[str], n: int) -> list[Claim]:
    """Controls: ratios too small for a minimum of each of the n examples of one input."""
    return [minima_multiply(s, 1, n, figure="ratios").as_control(f"{s}-minima") for s in scans]


def _inputs(d: int) -> str:
    return "input" if d == 1 else "inputs"

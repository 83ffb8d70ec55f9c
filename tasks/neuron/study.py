"""The study `single-neuron`: many minima, none but one, and a ReLU neuron with a teacher.

Auer, Herbster & Warmuth 1995, NIPS 8; Tian 2017, arXiv:1703.00560.
"""

from __future__ import annotations

from schemas.scan import parse_spec
from schemas.study import Claim, Study
from tasks.neuron import claims, relu_claims
from tasks.neuron.figures import figures
from tasks.neuron.scans import Sizes, all_scans

_FULL = Sizes(
    growth={
        **{(1, n): 4001 for n in range(1, 7)},
        **{(2, n): 256 for n in (2, 4, 6, 8, 10, 12)},
        **{(3, n): 96 for n in (3, 9, 12)},
        (3, 6): 512,
    },
    ratios=(2, 3, 4, 5),
    side=129,
    starts=1000,
    rays=32,
    samples=(64, 256, 1024, 4096),
    replicates=16,
)
_QUICK = Sizes(
    growth={(1, 3): 128, (2, 4): 32, (3, 6): 20},
    ratios=(4,),
    side=21,
    starts=60,
    rays=6,
    samples=(),
    replicates=4,
)
_QUICK_SCANS = (
    "published",
    "entropic",
    "starts",
    "rays",
    "rays-noise",
    "relu-plane",
    "relu-starts",
)
"""What the quick study has beside growth and ratios."""
_IN_PLACE = ((1, 1), (1, 2), (1, 3), (2, 4), (2, 6), (3, 6))
"""The (d, n) whose minima are compared with the known ones."""


def single_neuron_study(quick: bool) -> Study:
    """The study at its full sizes (Auer's surface at 512³) or, if quick, in seconds."""
    sizes = _QUICK if quick else _FULL
    growth: dict[int, dict[int, str]] = {}
    for d, n in sorted(sizes.growth):
        growth.setdefault(d, {})[n] = f"d{d}-n{n}"
    ratios = {float(ratio): f"ratio-{ratio}" for ratio in sizes.ratios}
    samples, signs = (
        [f"relu-{kind}-{size}" for size in sizes.samples] for kind in ("sample", "signs")
    )
    scans = all_scans(sizes)
    if quick:
        counted = [name for by_n in growth.values() for name in by_n.values()]
        scans = {name: scans[name] for name in (*counted, *ratios.values(), *_QUICK_SCANS)}
    specs = {name: parse_spec(raw, f"study single-neuron, {name}") for name, raw in scans.items()}
    rays = {"rays": "realizable", "rays-noise": "with noise", "rays-sine": "sine"}
    zero = "relu-zero" if "relu-zero" in specs else "relu-plane"
    found = [*_minima_claims(sizes), *_convexity_claims(), *_teacher_claims(zero)]
    if not quick:
        found += [*_more_minima_claims(), *_more_teacher_claims(samples, signs)]
    return Study(
        name="single-neuron",
        summary="One neuron can have exponentially many local minima, with a bounded loss and "
        "inputs of different scales. With its matching loss, with a teacher, or as a ReLU that "
        "learns another from normal inputs, it has no bad one.",
        scans=specs,
        claims=tuple(found),
        figures=figures(
            growth,
            ratios,
            {words: scan for scan, words in rays.items() if scan in specs},
            zero,
            samples,
        ),
        cover="d2-n4:relief" if quick else "d2-n12:relief",
    )


def _minima_claims(sizes: Sizes) -> list[Claim]:
    found = [claims.minima_multiply(f"d{d}-n{n}", d, n, figure="growth") for d, n in sizes.growth]
    for d, n in _IN_PLACE:
        if (d, n) in sizes.growth:
            found += claims.minima_in_place(f"d{d}-n{n}")
    return [
        *found,
        *claims.published_minima("published"),
        claims.descents_find_all("starts"),
        claims.descents_get_stuck("starts"),
        *claims.too_close([f"ratio-{ratio}" for ratio in sizes.ratios], 5),
    ]


def _more_minima_claims() -> list[Claim]:
    turned = ", all turned by a random rotation,"
    return [
        claims.minima_multiply("rotated", 2, 4, words=turned),
        *claims.minima_in_place("rotated"),
        claims.minima_multiply(
            "rotated-weights", 2, 4, words=turned + " on the weights' own axes", on_grid=False
        ),
        claims.minima_in_place("rotated-weights")[0].as_control("rotated-weights-places"),
        claims.minima_with_bias("bias", 1, 4),
        *claims.minima_in_place("bias"),
        claims.minima_multiply("linear-grid", 1, 4, words=" on a linear grid").as_control(
            "linear-grid-misses-minima"
        ),
        claims.descents_get_stuck("starts-entropic").as_control("starts-entropic-get-stuck"),
    ]


def _convexity_claims() -> list[Claim]:
    return [
        claims.convex("entropic", "the entropic loss"),
        claims.one_minimum("entropic"),
        claims.convex("published", "the square loss").as_control("square-loss-is-convex"),
        claims.minima_multiply("entropic", 2, 4, words=", with the entropic loss,").as_control(
            "entropic-loss-has-many-minima"
        ),
    ]


def _teacher_claims(zero: str) -> list[Claim]:
    return [
        claims.rises("rays", "realizable data"),
        claims.rises("rays-noise", "noisy data").as_control("rays-noise-rise"),
        *relu_claims.on_plane("relu-plane"),
        *relu_claims.at_zero(zero),
        relu_claims.descents_reach("relu-starts", 10),
        relu_claims.agrees_with_samples("relu-plane", "normal"),
    ]


def _more_teacher_claims(samples: list[str], signs: list[str]) -> list[Claim]:
    return [
        claims.rises("rays-sine", "a sine's data").as_control("rays-sine-rise"),
        relu_claims.descents_reach("relu-line", 1).as_control("relu-line-reach-the-teacher"),
        *(relu_claims.agrees_with_samples(scan, "normal") for scan in samples),
        relu_claims.follows_root_law(samples),
        relu_claims.agrees_with_samples(signs[-1], "±1 for").as_control("relu-signs-agrees"),
        relu_claims.follows_root_law(signs).as_control("sampling-error-of-signs"),
    ]

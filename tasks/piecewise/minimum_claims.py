"""What is claimed of bad local minima of piecewise-linear networks.

The statistics are in `minimum_measures`. A control is the same claim where its hypothesis is
broken. Thresholds are for rounding, but for the barrier's and the share's; small trials had been
seen when they were set.
"""

from __future__ import annotations

from dataclasses import replace

from schemas.study import Claim
from tasks.piecewise import minimum_measures as measures
from tasks.piecewise.minimum_scans import Sizes, across, around

YUN = "Yun, Sra & Jadbabaie 2019, arXiv:1802.03487, theorem 1"
SMOOTH_UNITS = "Yun, Sra & Jadbabaie 2019, arXiv:1802.03487, theorem 2"
HE = "He, Wang & Tao 2020, arXiv:2003.12236, theorem 1"
BOTH = f"{YUN}; {HE}"

LINES, FAMILY, NETWORKS, EXAMPLES = "lines", "family-lines", "networks", "smooth-examples"
PROBES, BENDS = "probes", "smooth-probes"
"""Figures, tables and surfaces of the study."""

ROUNDING = 1e-12
FORMULA = 1e-10
CONSTANT = 1e-9
RISES = 1e-6
ZERO = 1e-20


def minimum_claims(size: Sizes) -> list[Claim]:
    """Every claim on the scans of `minimum_scans` of these sizes."""
    return [
        *_proofs(size),
        *_lower_points(size),
        *_near_by(size),
        *_families(),
        *_smooth(size),
    ]


def _proofs(size: Sizes) -> list[Claim]:
    lines = [*across(size.networks), *size.tied]
    minimum = Claim(
        name="minimum-proved",
        statement="units all in one piece put out the best affine function: proved to be a local "
        "minimum, of any depth, widths and slopes: share of networks and data sets",
        source=BOTH,
        statistic=measures.share_of_minima(*lines),
        threshold=1.0,
        sense="at least",
        figure=NETWORKS,
        hypothesis=measures.as_constructed(*lines),
    )
    bad = replace(
        minimum,
        name="minimum-is-not-global",
        statement="that minimum is proved not to be global, by a point that is lower: share of "
        "data sets, for each network",
        statistic=measures.share_not_global(*lines),
        hypothesis=measures.as_supposed(*lines),
    )
    return [
        minimum,
        replace(
            minimum,
            statistic=measures.share_of_minima("probe-broken"),
            hypothesis=measures.as_constructed("probe-broken"),
            figure=PROBES,
        ).as_control("broken-proved", "with a unit at a kink"),
        bad,
        *(
            replace(
                bad,
                statistic=measures.share_not_global(f"control-{name}"),
                hypothesis=measures.as_supposed(f"control-{name}"),
                figure=f"control-{name}",
            ).as_control(f"{name}-is-not-global", where)
            for name, where in (
                ("fittable", "where an affine function fits the targets"),
                ("linear", "with linear units"),
            )
        ),
    ]


def _lower_points(size: Sizes) -> list[Claim]:
    lines = [name for name in across(size.networks) if not name.endswith("-abs")]
    formula = Claim(
        name="lower-as-derived",
        statement="the risk at the lower point is ℓ_0 − 2Scγ + Nc²γ²/2, c = (s_+ − s_−)/(s_+ + "
        "s_−): greatest difference, relative to it",
        source=f"{YUN}; the formula is ours",
        statistic=measures.off_prediction(*lines),
        threshold=FORMULA,
        sense="at most",
        figure=NETWORKS,
        hypothesis=measures.untied(*lines),
    )
    tied = [size.tied[0]]
    every = across(size.networks)
    over = Claim(
        name="way-rises",
        statement="on the straight way from the minimum to the lower point the risk first rises: "
        "by how much at least, relative to it",
        source=BOTH,
        statistic=measures.barrier(*every),
        threshold=RISES,
        sense="at least",
        figure=LINES,
        hypothesis=measures.to_lower(*every),
    )
    return [
        formula,
        replace(
            formula,
            statistic=measures.off_prediction(*tied),
            hypothesis=measures.untied(*tied),
            figure=tied[0],
        ).as_control("tied-as-derived", "where the fit is tilted as its outputs are tied"),
        over,
        replace(
            over,
            statistic=measures.barrier("family"),
            hypothesis=measures.to_lower("family"),
            figure=FAMILY,
        ).as_control("family-rises", "from one minimum to the others of its family"),
    ]


def _near_by(size: Sizes) -> list[Claim]:
    planes = [*around(size.around), "probe-minimum"]
    near = Claim(
        name="none-lower-near-by",
        statement="within the radius that is proved no point of a scan is lower than the minimum: "
        "least rise, relative to it",
        source=BOTH,
        statistic=measures.least_rise(*planes),
        threshold=-ROUNDING,
        sense="at least",
        figure=PROBES,
        hypothesis=measures.at_minimum(*planes),
    )
    return [
        near,
        replace(
            near,
            statistic=measures.least_rise("probe-broken"),
            hypothesis=measures.at_minimum("probe-broken"),
        ).as_control("none-lower-near-kink", "with a unit at a kink"),
    ]


def _families() -> list[Claim]:
    family = Claim(
        name="family-is-level",
        statement="for every α from 0.001 to 1,000 there is such a minimum, of one risk: greatest "
        "difference, relative to it",
        source=BOTH,
        statistic=measures.greatest_change("family"),
        threshold=CONSTANT,
        sense="at most",
        figure=FAMILY,
        hypothesis=measures.within_pieces("family"),
    )
    return [
        family,
        replace(
            family,
            statistic=measures.greatest_change("family-hard-tanh"),
            hypothesis=measures.within_pieces("family-hard-tanh"),
        ).as_control("bounded-family-is-level", "with hard-tanh units, whose piece ends"),
    ]


def _smooth(size: Sizes) -> list[Claim]:
    def scans(what: str) -> list[str]:
        return [f"{name}-{what}" for name in size.smooth]

    proved = Claim(
        name="smooth-minimum-proved",
        statement="the example of smooth units is proved to be a local minimum of risk 1/3 that "
        "is not global: share of activations",
        source=f"{SMOOTH_UNITS}; the proof is ours",
        statistic=measures.share_of_all(*scans("minimum")),
        threshold=1.0,
        sense="at least",
        figure=EXAMPLES,
        hypothesis=measures.as_constructed(*scans("minimum")),
    )
    near = replace(
        proved,
        name="smooth-none-lower-near-by",
        statement="within the radius that is proved no point of a scan is lower: least rise of the "
        "risk, relative to it",
        statistic=measures.least_rise(*scans("minimum")),
        threshold=-ROUNDING,
        figure=BENDS,
        hypothesis=measures.at_minimum(*scans("minimum")),
    )
    zero = Claim(
        name="smooth-fits-all",
        statement="the other point of the example has a risk of 0: greatest risk",
        source=SMOOTH_UNITS,
        statistic=measures.greatest_end(*scans("across")),
        threshold=ZERO,
        sense="at most",
        figure=EXAMPLES,
        hypothesis=measures.smooth_example(*scans("across")),
    )
    line = across(size.networks)[0]
    return [
        proved,
        replace(
            proved,
            statistic=measures.share_of_all(*scans("broken")),
            hypothesis=measures.as_constructed(*scans("broken")),
        ).as_control("smooth-broken-proved", "with output weights of other signs"),
        near,
        replace(
            near,
            statistic=measures.least_rise(*scans("broken")),
            hypothesis=measures.at_minimum(*scans("broken")),
        ).as_control("smooth-none-lower-near-saddle", "with output weights of other signs"),
        zero,
        replace(
            zero,
            statistic=measures.greatest_end(line),
            hypothesis=measures.smooth_example(line),
            figure=line,
        ).as_control("piecewise-fits-all", "at the lower point of ReLU units"),
    ]

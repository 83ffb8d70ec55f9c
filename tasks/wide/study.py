"""The study `wide-layer`: local minima of networks with a layer as wide as there are samples.

Yu & Chen 1995, IEEE Transactions on Neural Networks 6; Ding, Li & Sun 2019, arXiv:1911.01413;
Nguyen & Hein 2017, arXiv:1704.08045.
"""

from __future__ import annotations

from collections.abc import Iterable

from schemas.scan import parse_spec
from schemas.study import Claim, Study
from tasks.wide import nguyen_hein_claims as claims
from tasks.wide.figures import condition_figures
from tasks.wide.scans import (
    EXACT,
    LOWER,
    NARROW,
    NETS,
    SOFTPLUS,
    TANH,
    UPPER,
    WIDER,
    Net,
    Starts,
    condition_scans,
    of,
)
from tasks.wide.tables import condition_tables
from tasks.wide.yu_chen_claims import yu_chen_claims, yu_chen_figures
from tasks.wide.yu_chen_scans import FULL, QUICK, yu_chen_scans

_FULL = Starts(replicates=8, starts=200)
_QUICK = Starts(replicates=2, starts=50)
_QUICK_SCANS = frozenset(
    {"narrow-minima", "exact-minima", "exact-points", "wider-minima", "lower-points"}
    | {"upper-minima", "upper-points"}
)
_SHOWN = ((EXACT, 1), (UPPER, 2), (NARROW, 1), (WIDER, 1), (LOWER, 1))
"""Networks of the figure, and the layers above which the Hessian is that of."""


def wide_layer_study(quick: bool) -> Study:
    """The study on 8 data sets for each network, with 200 descents on each, or on 2 with 50."""
    sizes = QUICK if quick else FULL
    searched = condition_scans(_QUICK if quick else _FULL)
    kept = [name for name in searched if not quick or name in _QUICK_SCANS]
    scans = {**yu_chen_scans(sizes), **{name: searched[name] for name in kept}}
    nets = [(net, _among(kept, net)) for net in NETS]
    return Study(
        name="wide-layer",
        summary="As many sigmoid units as samples do not rule out bad local minima, as was "
        "claimed: equal units are one, proved at every width tried. Critical points are global "
        "where features have full rank; the condition that is published for wide layers can be met "
        "by N − 1 units in the last hidden layer alone.",
        scans={name: parse_spec(raw, f"study wide-layer, {name}") for name, raw in scans.items()},
        claims=(*yu_chen_claims(sizes.widths), *_condition_claims(kept)),
        figures={
            **yu_chen_figures(sizes.widths),
            **condition_figures([(net, layer, _among(kept, net)) for net, layer in _SHOWN]),
        },
        tables=condition_tables([(net, names) for net, names in nets if names]),
        cover="plane:relief",
    )


def _among(kept: Iterable[str], *nets: Net) -> list[str]:
    """The scans of these networks that are kept."""
    return [name for net in nets for name in of(net) if name in kept]


def _condition_claims(kept: Iterable[str]) -> list[Claim]:
    exact, upper = _among(kept, EXACT, TANH, SOFTPLUS), _among(kept, UPPER)
    wider, lower, narrow = (_among(kept, net) for net in (WIDER, LOWER, NARROW))
    one = claims.condition_suffices("condition-suffices", "N − 1 hidden units", exact)
    rank = claims.full_rank_suffices(
        "full-rank-suffices", "a wider layer, and two hidden ones", [*wider, *lower, *upper]
    )
    singular = claims.wider_is_singular("wider-never-meets-it", WIDER.words, 1, wider)
    below = claims.lower_is_singular("lower-never-meets-it", f"{LOWER.words}: layer 1", 1, lower)
    return [
        claims.narrow_has_none(NARROW.words, of(NARROW)[0]),
        one,
        claims.left_out(
            one,
            "narrow-suffices",
            f"with {NARROW.words} instead, the width left out",
            ("hessian", "weights"),
            narrow,
        ),
        claims.left_out(
            one,
            "singular-suffices",
            "whatever the Hessian, which is left out",
            ("width", "weights"),
            exact,
        ),
        claims.condition_suffices("condition-suffices-upper", UPPER.words, upper),
        rank,
        claims.left_out(
            rank,
            "full-rank-suffices-alone",
            f"{LOWER.words}, whatever the weights, which are left out",
            {"features"},
            lower,
        ),
        singular,
        claims.wider_is_singular("exact-never-meets-it", EXACT.words, 1, exact).as_control(),
        below,
        claims.lower_is_singular(
            "upper-never-meets-it", f"{UPPER.words}: layer 2", 2, upper
        ).as_control(),
    ]

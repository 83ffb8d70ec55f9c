"""The claims that a single scan of a deep linear network decides."""

from __future__ import annotations

from dataclasses import replace

from schemas.scan import ScanSpec
from schemas.study import Claim
from tasks.linear import deep_claims as claims

_SCAN = "scan"


def claims_on(spec: ScanSpec) -> tuple[Claim, ...]:
    """What descents from starts, on the split train, tell of a linear network."""
    linear = spec.parameters["relu_after"] is None
    if spec.descent is None or spec.starts is None or "train" not in spec.splits or not linear:
        return ()
    widths = spec.parameters["widths"]
    narrow = min(widths) < min(widths[0], widths[-1])
    if spec.descent.method == "newton":
        found = [claims.critical_values("critical-values", "linear layers", _SCAN)]
        if spec.descent.keep_parameters and not narrow:
            where = "without a bottleneck"
            found.append(claims.global_where_map_is_critical("map-critical", where, _SCAN))
    elif narrow:
        found = [claims.bottleneck_reaches_its_own(_SCAN)]
    else:
        words = "from random starts"
        found = [claims.no_spurious_minima("no-spurious-minima", words, _SCAN, deficient=None)]
    return tuple(replace(claim, figure=_SCAN) for claim in found)

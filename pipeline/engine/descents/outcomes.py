"""What descents have found.

Shape legend: P = descents.
"""

from __future__ import annotations

import torch
from torch import Tensor

from pipeline.engine.descents.ends import Ends
from schemas.layout import DescentOutcome
from schemas.starts import RELATIVE, resolved_curvature


def outcomes(
    ends: Ends,
    eigenvalues: Tensor,
    start_loss: Tensor,
    global_minimum: float | None,
    tolerance: float,
) -> Tensor:
    """The `DescentOutcome` of each end (P,), uint8.

    A converged end is a saddle if λ_min < −c·max(1, |λ_max|), with eigenvalues (P, 2) in order and
    c = `resolved_curvature` of the gradient norm's tolerance. Else, where the global minimum L* is
    known, it is global if its loss is above L* by at most 10⁻⁶·max(|L*|, L_start − L*), and
    spurious if not; where it is not known, it is a minimum. An end at its target, not converged, is
    low enough.
    """
    least, greatest = eigenvalues[:, 0], eigenvalues[:, 1]
    found = torch.full_like(ends.iterations, DescentOutcome.MINIMUM)
    if global_minimum is not None:
        allowed = (start_loss.double() - global_minimum).clamp(min=abs(global_minimum))
        reached = ends.loss.double() - global_minimum <= RELATIVE * allowed
        found[~reached] = DescentOutcome.SPURIOUS
        found[reached] = DescentOutcome.GLOBAL
    bent = -resolved_curvature(tolerance) * greatest.abs().clamp(min=1.0)
    found[least < bent] = DescentOutcome.SADDLE
    found[~ends.converged] = DescentOutcome.NOT_CONVERGED
    found[~ends.converged & ends.low] = DescentOutcome.LOW_ENOUGH
    return found.to(torch.uint8)

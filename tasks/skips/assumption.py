"""Assumption 3.1, under which a network with skip units has no bad local valley, with reasons.

Nguyen, Mukkamala & Hein 2018, arXiv:1809.10749, section 3. Shape legend: N = samples, M = skip
units.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tasks.skips.activations import is_bounded_with_zero, reason_against
from tasks.skips.patches import all_differ
from tasks.skips.reach import NotChecked, Reach, reach
from tasks.skips.wrapper import SkipToOutput

PARTS = ("number", "layers", "activations", "units", "patches", "biases")


@dataclass(frozen=True)
class Finding:
    """What was found of one part of the assumption.

    Attributes:
        part: one of `PARTS`.
        met: None where it cannot be said.
        reason: why, in one line.
    """

    part: str
    met: bool | None
    reason: str


def check_assumption(model: SkipToOutput, inputs: Tensor) -> list[Finding]:
    """Whether a network and its samples (N, …) meet assumption 3.1, part by part.

    Only what lies on the way to skip units counts. The parts are:

    - `number`: M ≥ N.
    - `layers`: on the way there are linear and convolutional layers, activations, and what
      rearranges, joins or adds their units; otherwise the parts below are not checked.
    - `activations` (1): all are real analytic and strictly increasing.
    - `units` (2): N skip units are sigmoids, bounded with σ(−∞) = 0, or N are softplus units with a
      path back to the first layer that meets no other skip unit and none that shares weights with
      one.
    - `patches` (3): to N of these such a path comes from a unit of the first layer to which no two
      samples show the same. The printed assumption wants this of all units of the first layer; the
      proof needs no more than N paths.
    - `biases`: N of these have each a bias of their own, which the proof sets one by one. In a
      convolution of torch all units of a channel share one, and then the lemma may fail: with
      distinct images of one colour each, all units of a channel are the same.

    Where parts (2) and (3) are not met lemma 3.2 may still hold: Ψ is analytic in U under part (1),
    so that it has rank N at almost every U if it has at one.
    """
    count, units = len(inputs), len(model.skip)
    findings = [_compared("number", units, count, "skip units")]
    try:
        found = reach(model, inputs)
    except NotChecked as gap:
        findings.append(Finding("layers", gap.met, str(gap)))
        return findings + [Finding(part, None, "not checked") for part in PARTS[2:]]
    findings.append(Finding("layers", True, "all that leads to skip units is known"))
    findings.append(_activations(found))
    return findings + _units(found, model, inputs)


def _compared(part: str, found: int, wanted: int, what: str, more: str = "") -> Finding:
    reason = f"{found} {what} for {wanted} samples{more}"
    return Finding(part, found >= wanted, reason)


def _activations(found: Reach) -> Finding:
    reasons = [reason_against(module) for module in found.activations]
    against = next((reason for reason in reasons if reason is not None), None)
    kinds = sorted({type(module).__name__ for module in found.activations})
    reason = against or f"{', '.join(kinds)}: real analytic and strictly increasing"
    return Finding("activations", against is None, reason)


def _units(found: Reach, model: SkipToOutput, inputs: Tensor) -> list[Finding]:
    """Parts (2) and (3) and the biases, for the kind of units of which more count."""
    sizes = [len(tap.units) for tap in model.taps]
    bounded = _of_taps([is_bounded_with_zero(module) for module in found.modules], sizes)
    soft = _of_taps([isinstance(module, nn.Softplus) for module in found.modules], sizes)
    soft &= found.free
    if int(bounded.sum()) >= int(soft.sum()):
        counted, distinct, what = bounded, found.distinct, "bounded units with σ(−∞) = 0"
    else:
        counted, distinct = soft, found.free_distinct
        what = "softplus units with a path of their own from the first layer"
    patched = counted & distinct
    biases = found.biases[patched]
    own = len(torch.unique(biases[biases >= 0]))
    seen = f"; {found.first[0]} of the first layer's {found.first[1]} see distinct patches"
    seen += "" if all_differ(inputs.cpu()) else ", as two samples are equal"
    wanted = len(inputs)
    return [
        _compared("units", int(counted.sum()), wanted, what),
        _compared("patches", int(patched.sum()), wanted, "such paths from distinct patches", seen),
        _compared("biases", own, wanted, "biases among these units"),
    ]


def _of_taps(holds: Sequence[bool], sizes: Sequence[int]) -> Tensor:
    return torch.repeat_interleave(torch.tensor(holds), torch.tensor(sizes))

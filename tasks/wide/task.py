"""The task `wide-layer`: the mean squared error of a network with a layer as wide as its samples.

Yu & Chen 1995, IEEE Transactions on Neural Networks 6; Nguyen & Hein 2017, arXiv:1704.08045.
Shape legend: N = samples, d = inputs of each, n_l = units of layer l.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from schemas.errors import SpecError, listing, suggestion
from tasks.landscape import Landscape
from tasks.objective import EmpiricalRisk, Split, squared_error
from tasks.registry import BuildContext
from tasks.wide.certificate import prove_trap
from tasks.wide.data import Samples, draw_samples
from tasks.wide.network import features, network
from tasks.wide.parameters import WideLayerParameters
from tasks.wide.sections import draws_of, origin_of, section_of

TRAIN = "train"


def build_wide_layer(parameters: WideLayerParameters, context: BuildContext) -> Landscape:
    """The mean squared error on the split `train`.

    The reference `global_minimum` is given where the outputs are known to be able to agree with
    all targets: 0, or of a repeated input what its two targets differ by.

    Raises:
        SpecError: there is another split, or the axes do not fit the section.
    """
    for split in context.splits:
        if split != TRAIN:
            raise SpecError(
                f"splits: got {split!r}; expected {listing([TRAIN])}{suggestion(split, [TRAIN])}"
            )
    samples = draw_samples(parameters, context.seed)
    module = network(
        parameters.dimensions, parameters.widths, parameters.activation, parameters.bias
    )
    draw, solved = draws_of(parameters, module, samples)
    origin = origin_of(samples, draw, context.seed)
    section, known = section_of(parameters, origin, solved, context.z, context.seed)
    inputs = torch.from_numpy(samples.inputs)
    hidden = features(module, solved.named(origin), inputs)
    ranks = [int(np.linalg.matrix_rank(each.numpy())) for each in hidden]
    train = Split(inputs, torch.from_numpy(samples.targets))
    return Landscape(
        EmpiricalRisk(module, squared_error, {TRAIN: train}),
        section,
        reference={"global_minimum": _least(samples)} if parameters.reached else {},
        facts={**_facts(parameters, samples), "feature_ranks": ranks, **known},
        draw=draw,
    )


def _least(samples: Samples) -> float:
    """The least loss of outputs that agree with the targets wherever inputs are distinct."""
    away = samples.targets[:2] - samples.targets[:2].mean()
    same = len(samples.inputs) > 1 and np.array_equal(samples.inputs[0], samples.inputs[1])
    return float(np.square(away).sum() / len(samples.targets)) if same else 0.0


def _facts(parameters: WideLayerParameters, samples: Samples) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "samples": parameters.samples,
        "dimensions": parameters.dimensions,
        "widths": list(parameters.widths),
        "activation": parameters.activation,
        "bias": parameters.bias,
        "data": parameters.data,
        "section": parameters.section,
        "inputs": samples.inputs.tolist(),
        "targets": samples.targets.tolist(),
    }
    if samples.unit is not None and samples.outputs is not None:
        made_for = (samples.inputs, samples.targets, samples.unit, samples.outputs)
        proof = prove_trap(*made_for, parameters.activation)
        facts |= {"unit": samples.unit.tolist(), "outputs": samples.outputs.tolist()}
        facts["proof"] = proof.as_json()
    return facts

"""Which units of a first layer see something different in every sample.

Shape legend: N = samples, C = channels.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional


def distinct_patches(layer: nn.Linear | nn.Conv1d | nn.Conv2d, inputs: Tensor) -> Tensor:
    """Whether all samples (N, …) differ in what a unit is connected to, of the shape of its output.

    Samples are compared bit by bit, but for the sign of zero.
    """
    inputs = inputs.detach().cpu()
    if isinstance(layer, nn.Linear):
        places = inputs.shape[1:-1]
        found = torch.empty(*places, 1, dtype=torch.bool)
        for place in np.ndindex(*places):
            found[place] = all_differ(inputs[(slice(None), *place)])
        return found.expand(*places, layer.out_features)
    windows = _windows(layer, inputs)
    groups = windows.chunk(layer.groups, dim=1)
    places = windows.shape[2 : layer.weight.dim()]
    found = torch.empty(layer.groups, *places, dtype=torch.bool)
    for place in np.ndindex(*places):
        for group, part in enumerate(groups):
            found[(group, *place)] = all_differ(part[(slice(None), slice(None), *place)])
    return found.repeat_interleave(layer.out_channels // layer.groups, dim=0)


def all_differ(samples: Tensor) -> bool:
    """Whether no two of the samples (N, …) are equal."""
    # Adding 0 makes −0 the 0 that it equals.
    rows = (samples.flatten(1) + 0).numpy()
    return len({row.tobytes() for row in rows}) == len(rows)


def _windows(layer: nn.Conv1d | nn.Conv2d, inputs: Tensor) -> Tensor:
    """What each place of a convolution sees: a view (N, C, places …, kernel …), zeros around it."""
    reach = [d * (k - 1) for d, k in zip(layer.dilation, layer.kernel_size, strict=True)]
    if isinstance(layer.padding, str):
        same = layer.padding == "same"
        pads = [(r // 2, r - r // 2) if same else (0, 0) for r in reach]
    else:
        pads = [(int(p), int(p)) for p in layer.padding]
    windows = functional.pad(inputs, [side for pair in reversed(pads) for side in pair])
    for axis, size in enumerate(reach):
        windows = windows.unfold(axis + 2, size + 1, layer.stride[axis])
        windows = windows[..., :: layer.dilation[axis]]
    return windows

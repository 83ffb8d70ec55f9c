"""Parameters at many points of a section.

Shape legend: P = points, z = axes, n = numbers that the axes move.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from pipeline.engine.contract import Floats
from tasks.section import Section


class PointParameters:
    """Forms θ(α) for the parameters asked for, as one matrix product in float64.

    Each number of the result is a sum over the axes alone, so it does not depend on how many
    points are formed together.
    """

    def __init__(self, section: Section, names: Sequence[str], device: torch.device) -> None:
        self._shapes = [section.origin[name].shape for name in names]
        sizes = [shape.numel() for shape in self._shapes]
        self._rows = torch.zeros(section.z + 1, sum(sizes), dtype=torch.float64, device=device)
        self._cuts = sizes
        for row, given in enumerate((section.origin, *section.directions)):
            for name, part in zip(names, torch.split(self._rows[row], sizes), strict=True):
                if name in given:
                    part.copy_(given[name].reshape(-1))

    def at(self, points: Floats, dtype: torch.dtype) -> list[Tensor]:
        """Each parameter at points (P, z), rounded once: (P, *shape)."""
        alphas = torch.from_numpy(points).to(self._rows.device)
        flat = torch.addmm(self._rows[0], alphas, self._rows[1:])
        parts = torch.split(flat, self._cuts, dim=1)
        return [
            part.to(dtype, memory_format=torch.contiguous_format).reshape(len(points), *shape)
            for part, shape in zip(parts, self._shapes, strict=True)
        ]


def restricted(section: Section, coordinates: Floats, outer: Sequence[int]) -> Section:
    """The section over the other axes, at fixed coordinates (len(outer),) of the outer ones."""
    origin: Mapping[str, Tensor] = section.origin
    for axis, coordinate in zip(outer, coordinates, strict=True):
        direction = section.directions[axis]
        origin = {
            name: value + float(coordinate) * direction[name] if name in direction else value
            for name, value in origin.items()
        }
    return Section(origin, tuple(d for a, d in enumerate(section.directions) if a not in outer))

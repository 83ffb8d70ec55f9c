"""How many activation cells the points of a scan are in.

Shape legend: R = replicates (one when the scan has none), S = splits.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from dask.delayed import delayed

from pipeline.analysis.frame import Frame, computed
from schemas.layout import REPLICATE, SPLIT

CELL = "activation_cell"


def cells(dataset: xr.Dataset, frame: Frame) -> list[dict[str, npt.NDArray[Any]]]:
    """For each replicate `cells_met` (S,), or nothing where cells were not measured.

    Different hashes are counted, chunk by chunk; only these are held in memory. A cell of a deep
    network that a section meets in several parts counts once.
    """
    if CELL not in dataset:
        return [{} for _ in range(frame.n_replicates)]
    hashes = dataset[CELL]
    if REPLICATE not in hashes.dims:
        hashes = hashes.expand_dims(REPLICATE)
    hashes = hashes.transpose(REPLICATE, SPLIT, *frame.axes).chunk({REPLICATE: 1, SPLIT: 1})
    unique = delayed(np.unique, pure=False)
    found = []
    for replicate in hashes.data.to_delayed():
        counts = [_different(computed(*map(unique, split.ravel()))) for split in replicate]
        found.append({"cells_met": np.array(counts, dtype=np.float64)})
    return found


def _different(parts: tuple[npt.NDArray[np.uint64], ...]) -> float:
    return float(len(np.unique(np.concatenate(parts))))

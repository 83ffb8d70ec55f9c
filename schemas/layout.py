"""The store's contract: its groups, variables, dimensions, units, long names and version.

    scan.zarr/                Zarr format 3, consolidated
    ├── attrs                 the manifest: spec, spans, fingerprint, seed, hashes, facts, versions
    ├── <axis> …, split[, replicate, axis, axis_other]    coordinates
    ├── loss, accuracy …      ([replicate,] split, axis_1 … axis_z)
    │                        of a multi-start scan `start` is in the place of the axes
    ├── end_loss, outcome …   (… as loss): of a descent from each point
    ├── end_parameters        ([replicate,] split, number, axis_1 … axis_z)
    ├── section_gradient      ([replicate,] split, axis, axis_1 … axis_z)
    ├── section_hessian       ([replicate,] split, axis, axis_other, axis_1 … axis_z)
    ├── target, <field> …     ([replicate,] axis_1 … axis_z): known functions of the coordinates
    ├── ledger/               (shard): what became of each shard
    ├── analysis/             statistics, written by the analysis
    ├── minima/               (minimum): local minima of the surfaces, their basins and depths
    ├── descent/              where training on from the scan's minimum leads
    ├── section/              the origin and the directions, their norms and cosines
    └── trajectories/         (checkpoint): other checkpoints, projected into the section

`METRICS` lists what can be measured. A metric is stored in the scan's dtype unless it says
otherwise, and only the ledger says which points have been computed. The labels along `axis` and
`axis_other` are the names of the grid's axes.

A reader needs none of this product: `xr.open_zarr(path)` shows the root group.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Literal

FORMAT_VERSION = 4
SPLIT = "split"
REPLICATE = "replicate"
AXIS = "axis"
AXIS_OTHER = "axis_other"
"""A second dimension over the axes, for matrices."""
LEDGER_GROUP = "ledger"
ANALYSIS_GROUP = "analysis"
DESCENT_GROUP = "descent"
MINIMA_GROUP = "minima"
TRAJECTORY_GROUP = "trajectories"
SECTION_GROUP = "section"
START = "start"
"""Dimension of the starts of a multi-start scan, instead of the grid's axes."""
NUMBER = "number"
"""Dimension of all parameters of a landscape, one number after another."""
MINIMUM = "minimum"
"""Dimension of the local minima of all splits and replicates."""
BASIN = "basin"
CHECKPOINT = "checkpoint"
"""Dimension of the checkpoints of all runs that are projected into the section."""
AFFINE, PATH, STARTS = "affine", "path", "starts"
"""What the points of a scan are, as the root's attribute `section` says: coordinates along
directions from an origin, t along a path, or starts in the space of all parameters."""

TARGET = "target"
TARGET_LOSS = "target_loss"
PREDICTED_PREFIX = "predicted_"
"""`predicted_<split>`: predicted difference of the loss between a split and the train split."""


@dataclass(frozen=True)
class Variable:
    """What a reader is told of a stored variable."""

    long_name: str
    units: str


@dataclass(frozen=True)
class Metric(Variable):
    """A variable that is measured for each split and point.

    Attributes:
        dims: dimensions between `split` and the grid's axes: `axis` and `axis_other` have one
            entry an axis, `number` has one for each parameter.
        dtype: dtype in the store; None for the scan's own.
        passes: what a value costs in evaluations of the loss at the same point, beyond those that
            other metrics need; an estimate.
        passes_per_axis: what each axis of the grid adds to that.
        flags: what each value of a code means, as the attributes `flag_values` and
            `flag_meanings` of the CF conventions tell it.
    """

    dims: tuple[str, ...] = ()
    dtype: Literal["int64", "uint64", "int32", "uint8"] | None = None
    passes: float = 0.0
    passes_per_axis: float = 0.0
    flags: Mapping[int, str] = field(default_factory=dict)

    def cost(self, z: int) -> float:
        """Evaluations of the loss that a value costs with z axes."""
        return self.passes + z * self.passes_per_axis


class DescentOutcome(IntEnum):
    """What a descent has found.

    A converged descent ends at a `saddle` if the Hessian there has a negative eigenvalue, else at
    a minimum, as far as second derivatives tell: `global` or `spurious` where the global minimum is
    known, `minimum` where it is not. One that has ended at its target, not converged, is
    `low_enough`.
    """

    NOT_CONVERGED = 0
    GLOBAL = 1
    SPURIOUS = 2
    SADDLE = 3
    MINIMUM = 4
    LOW_ENOUGH = 5


OF_DESCENT = (
    "end_loss",
    "end_gradient_norm",
    "end_hessian_eigenvalue_min",
    "end_hessian_eigenvalue_max",
    "iterations",
    "outcome",
)
"""What a descent from each point measures."""
END_PARAMETERS = "end_parameters"

# A gradient costs about two passes more than the loss, and a Hessian-vector product about four.
# Lanczos takes about a hundred of those; both extreme eigenvalues come from the same ones.
METRICS = {
    "loss": Metric("mean loss over the samples of the split", "1", passes=1),
    "accuracy": Metric("fraction of samples classified correctly", "1"),
    "loss_stderr": Metric("standard error of the mean loss over the samples of the split", "1"),
    "gradient_norm": Metric(
        "Euclidean norm of the gradient of the loss over the trainable parameters", "1", passes=2
    ),
    "section_gradient": Metric(
        "derivative of the loss along each axis", "1", dims=(AXIS,), passes=2
    ),
    "section_hessian": Metric(
        "second derivatives of the loss along the axes",
        "1",
        dims=(AXIS, AXIS_OTHER),
        passes=2,
        passes_per_axis=4,
    ),
    "hessian_eigenvalue_min": Metric(
        "least eigenvalue of the Hessian over the trainable parameters", "1", passes=300
    ),
    "hessian_eigenvalue_max": Metric(
        "greatest eigenvalue of the Hessian over the trainable parameters", "1", passes=300
    ),
    "activation_cell": Metric(
        "hash of the linear piece of every piecewise-linear unit at every sample",
        "1",
        dtype="uint64",
        passes=1,
    ),
    "activation_changes": Metric(
        "pairs of unit and sample whose linear piece is not that of the section's origin",
        "pairs",
        dtype="int64",
        passes=1,
    ),
    "end_loss": Metric("loss of the split at the end of the descent on it", "1", passes=300),
    "end_gradient_norm": Metric("Euclidean norm of the gradient at the end of the descent", "1"),
    "end_hessian_eigenvalue_min": Metric(
        "least eigenvalue of the Hessian at the end of the descent", "1"
    ),
    "end_hessian_eigenvalue_max": Metric(
        "greatest eigenvalue of the Hessian at the end of the descent", "1"
    ),
    "iterations": Metric("iterations of the descent", "iterations", dtype="int32"),
    "outcome": Metric(
        "what the descent has found",
        "1",
        dtype="uint8",
        flags={outcome.value: outcome.name.lower() for outcome in DescentOutcome},
    ),
    END_PARAMETERS: Metric("parameters at the end of the descent", "1", dims=(NUMBER,)),
}

RESERVED_NAMES = frozenset(
    {SPLIT, REPLICATE, AXIS, AXIS_OTHER, START, NUMBER, "shard", TARGET, TARGET_LOSS}
    | {LEDGER_GROUP, ANALYSIS_GROUP, DESCENT_GROUP, TRAJECTORY_GROUP, SECTION_GROUP, CHECKPOINT}
    | {MINIMA_GROUP, MINIMUM, BASIN}
    | {"control_point", "control_point_other", "cosine", "norm", "parameter", "probe"}
    | METRICS.keys()
)


class ShardStatus(IntEnum):
    """What became of a shard. PENDING is what a new ledger holds everywhere."""

    PENDING = 0
    DONE = 1
    FAILED = 2
    DAMAGED = 3


LEDGER_COLUMNS = {
    # name: (dtype, long name, units)
    "status": ("uint8", "0 pending, 1 done, 2 failed, 3 damaged", "1"),
    "attempts": ("uint16", "how often the shard was tried", "1"),
    "seconds": ("float32", "time of the evaluation and the write", "s"),
    "checksum": ("uint32", "CRC-32 of the shard's values, variable by variable", "1"),
    "nonfinite": ("uint32", "losses that are NaN or infinite", "1"),
    "worker": ("int32", "number of the worker that wrote it, -1 for the driver itself", "1"),
}
LEDGER_TEXTS = {
    "engine": "the evaluator and its block sizes",
    "error": "why a shard failed",
}
LEDGER_CHUNK = 16_384

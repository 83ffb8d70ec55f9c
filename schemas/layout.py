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
    known, `minimum` where it is not.
    """

    NOT_CONVERGED = 0
    GLOBAL = 1
    SPURIOUS = 2
    SADDLE = 3
    MINIMUM = 4


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

COMPARED = "compared"
"""Dimension of the splits that are compared with the first one, which is the reference split."""
QUANTILE = "quantile"
BOUND = "bound"
"""Dimension of a confidence interval: low, mean, high."""
IOU_QUANTILES = (0.01, 0.05, 0.1, 0.25, 0.5)
RADIUS = "radius"
"""Dimension of the neighbourhoods of the section's origin."""
LEVEL = "level"
"""Dimension of the loss levels at which the valley about the origin is measured."""
LEVELS = (1.1, 2.0, 10.0)

ANALYSIS = {
    # fidelity to the target, per split
    "fidelity_sup": Variable("greatest |loss - target_loss|", "1"),
    "fidelity_rmse": Variable("root mean square of loss - target_loss", "1"),
    "fidelity_mae": Variable("mean |loss - target_loss|", "1"),
    "fidelity_constant": Variable("mean of loss - target_loss: the constant that fits best", "1"),
    "fidelity_sup_after_constant": Variable("greatest |loss - target_loss - constant|", "1"),
    "fidelity_rmse_after_constant": Variable(
        "root mean square of loss - target_loss - constant", "1"
    ),
    "theorem_constant": Variable("a of Theorem 1: mean of loss - target", "1"),
    "target_range": Variable("greatest minus least target_loss", "1"),
    "fidelity_points": Variable("points where loss and target_loss are finite", "points"),
    # transfer from the reference split, per compared split
    "transfer_sup": Variable("greatest |loss - reference loss|", "1"),
    "transfer_rms": Variable("root mean square of loss - reference loss", "1"),
    "transfer_rms_after_constant": Variable("standard deviation of loss - reference loss", "1"),
    "transfer_pearson": Variable("Pearson correlation with the reference loss", "1"),
    "transfer_spearman": Variable("Spearman rank correlation with the reference loss", "1"),
    "transfer_slope": Variable("slope of the regression on the reference loss", "1"),
    "transfer_intercept": Variable("intercept of the regression on the reference loss", "1"),
    "transfer_argmin_shift": Variable(
        "argmin minus the reference split's argmin, along each axis", "1"
    ),
    "transfer_argmin_cells": Variable("argmin shift along each axis, in grid cells", "cells"),
    "transfer_regret": Variable("loss at the reference split's argmin minus the least loss", "1"),
    "transfer_iou": Variable("overlap of the sub-level sets at each quantile", "1"),
    "transfer_prediction_error": Variable(
        "greatest |loss - reference loss - predicted difference|", "1"
    ),
    "transfer_points": Variable("points where loss and reference loss are finite", "points"),
    # proximity of the minimum
    "minimum": Variable("least loss on the grid", "1"),
    "argmin": Variable("coordinates of the least loss", "1"),
    "finite_points": Variable("points where the loss is finite", "points"),
    "target_minimum": Variable("least target_loss on the grid", "1"),
    "target_argmin": Variable("coordinates of the least target_loss", "1"),
    "proximity_distance": Variable(
        "distance from the argmin to the nearest minimiser of the target", "1"
    ),
    "proximity_cells": Variable(
        "distance along each axis to the nearest minimiser, in grid cells", "cells"
    ),
    "loss_at_target_argmin": Variable("loss where the target is least", "1"),
    "gap_to_global_minimum": Variable(
        "least loss minus the known global minimum (reference split)", "1"
    ),
    "gap_to_section_floor": Variable(
        "least loss minus the known floor of the section (reference split)", "1"
    ),
}

SURFACE = {
    # sharpness at the section's origin, per split
    "origin_loss": Variable("loss at the origin", "1"),
    "sharpness_max_rise": Variable("greatest rise above the origin within the radius", "1"),
    "sharpness_mean_rise": Variable("mean rise above the origin within the radius", "1"),
    "sharpness_epsilon": Variable("sharpness of Keskar et al. in the box of the radius", "%"),
    "sharpness_points": Variable("points within the radius where the loss is finite", "points"),
    "origin_width": Variable("width of the valley about the origin at each level", "1"),
    "origin_curvature": Variable("Hessian of the loss at the origin, from the grid", "1"),
    "origin_curvature_measured": Variable("section_hessian at the origin", "1"),
    "origin_curvature_error": Variable(
        "greatest |origin_curvature - origin_curvature_measured|", "1"
    ),
    # shape of the whole surface, per split
    "shape_convexity": Variable("part of the inner points where the surface is convex", "1"),
    "shape_convexity_points": Variable("inner points where convexity was judged", "points"),
    "shape_roughness": Variable("total variation over range, mean of the lines along an axis", "1"),
    "shape_minima": Variable("local minima inside the grid", "minima"),
    "shape_minima_at_edge": Variable("local minima that touch the edge of the grid", "minima"),
    # basin of the section's origin, per split
    "basin_fraction": Variable("part of the grid that descends to the origin's minimum", "1"),
    "basin_minimum": Variable("loss at the origin's minimum", "1"),
    "basin_argmin": Variable("coordinates of the origin's minimum", "1"),
    "basin_distance": Variable("distance from the origin to its minimum", "1"),
    # barrier along a path, per split
    "barrier": Variable("greatest rise above the straight line between the ends", "1"),
    "barrier_at": Variable("where on the path the barrier is", "1"),
    "barrier_max_rise": Variable("greatest rise above the higher end", "1"),
}
"""Statistics of scans that say what their coordinates mean: `section` in the root's attributes is
`affine` (coordinates along directions from an origin) or `path` (t from one end to the other)."""

DESCENT = {
    "descent_loss_start": Variable("loss of the reference split at the scan's argmin", "1"),
    "descent_loss_end": Variable("loss after training every parameter on from there", "1"),
    "descent_distance": Variable("Euclidean distance travelled by the parameters", "1"),
    "descent_relative_distance": Variable("distance travelled over the norm of the start", "1"),
    "descent_steps": Variable("optimiser steps taken", "1"),
}

MINIMA = {
    # on the grid
    "of_split": Variable("data set", ""),
    "of_replicate": Variable("independently seeded repetition", ""),
    "coordinate": Variable("coordinates, of a plateau those of its first point", "1"),
    "loss": Variable("loss", "1"),
    "at_edge": Variable("whether the minimum touches the edge of the grid", "1"),
    "plateau_points": Variable("connected points of equal loss that the minimum is", "points"),
    "basin_points": Variable("points that descend to the minimum", "points"),
    "basin_fraction": Variable("part of the points with a loss that descend to the minimum", "1"),
    "depth": Variable("how far the loss must rise before a deeper basin is joined", "1"),
    # after a descent over the section's coordinates
    "refined_coordinate": Variable("coordinates at the end of the descent", "1"),
    "refined_loss": Variable("loss at the end of the descent", "1"),
    "refined_gradient_norm": Variable(
        "Euclidean norm of the gradient at the end, in cells of the grid", "1"
    ),
    "refined_eigenvalue_min": Variable(
        "least eigenvalue of the Hessian at the end, in cells of the grid", "1"
    ),
    "refined_eigenvalue_max": Variable(
        "greatest eigenvalue of the Hessian at the end, in cells of the grid", "1"
    ),
    "kind": Variable("what the descent has found", "1"),
    "same_as": Variable(
        "number of the first minimum whose descent ends at the same point, its own if none", "1"
    ),
}
"""One row for each local minimum, by split, replicate and loss. Cells are as wide as the grid is at
the minimum: half the distance between the two points beside it along an axis. Beside the rows there
is, for scans of up to 2^24 losses, `basin` ([replicate,] split, axis_1 … axis_z): the row of the
minimum that each point descends to, missing where the loss is NaN or +inf."""

ENDS = {
    # of a multi-start scan, per split
    "starts_finite": Variable("starts at which the loss is finite", "starts"),
    "starts_loss_min": Variable("least loss at a start", "1"),
    "starts_loss_median": Variable("median of the loss at the starts", "1"),
    "starts_loss_max": Variable("greatest loss at a start", "1"),
    # of the descents of any scan, per split; with a known global minimum of the first split
    "ends_global": Variable("descents that end at the global minimum (reference split)", "1"),
    "ends_global_fraction": Variable(
        "part of the descents that end at the global minimum (reference split)", "1"
    ),
    "ends_spurious": Variable("descents that end at another minimum (reference split)", "1"),
    "ends_minimum": Variable("descents that end at a minimum, global or not", "1"),
    "ends_saddle": Variable("descents that end at a saddle", "1"),
    "ends_not_converged": Variable("descents that have not converged", "1"),
    "ends_loss_min": Variable("least loss at the end of a descent that has converged", "1"),
    "ends_loss_max": Variable("greatest loss at the end of a descent that has converged", "1"),
    "ends_losses": Variable("different losses at which descents have converged", "1"),
    "ends_iterations_median": Variable("median of the iterations of a descent", "iterations"),
    "ends_iterations_max": Variable("most iterations of a descent", "iterations"),
}
"""Statistics of starts, and of descents from any points."""
ENDS_DIMS = {
    # as ANALYSIS_DIMS
    name: () if name in ("ends_global", "ends_global_fraction", "ends_spurious") else (SPLIT,)
    for name in ENDS
}

ANALYSIS_DIMS = {
    # name: dimensions beside a leading `replicate`, which is there when the scan has it
    **{name: (SPLIT,) for name in ANALYSIS if name.startswith("fidelity_")},
    **{name: (COMPARED,) for name in ANALYSIS if name.startswith("transfer_")},
    "transfer_argmin_shift": (COMPARED, AXIS),
    "transfer_argmin_cells": (COMPARED, AXIS),
    "transfer_iou": (COMPARED, QUANTILE),
    "theorem_constant": (SPLIT,),
    "target_range": (),
    "minimum": (SPLIT,),
    "argmin": (SPLIT, AXIS),
    "finite_points": (SPLIT,),
    "target_minimum": (),
    "target_argmin": (AXIS,),
    "proximity_distance": (SPLIT,),
    "proximity_cells": (SPLIT, AXIS),
    "loss_at_target_argmin": (SPLIT,),
    "gap_to_global_minimum": (),
    "gap_to_section_floor": (),
}

SURFACE_DIMS = {
    # as ANALYSIS_DIMS
    **dict.fromkeys(SURFACE, (SPLIT,)),
    **{name: (SPLIT, RADIUS) for name in SURFACE if name.startswith("sharpness_")},
    "origin_width": (SPLIT, AXIS, LEVEL),
    "origin_curvature": (SPLIT, AXIS, AXIS_OTHER),
    "origin_curvature_measured": (SPLIT, AXIS, AXIS_OTHER),
    "shape_roughness": (SPLIT, AXIS),
    "basin_argmin": (SPLIT, AXIS),
}

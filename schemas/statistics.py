"""The statistics that an analysis stores: their names, meanings, units and dimensions."""

from __future__ import annotations

from schemas.layout import AXIS, AXIS_OTHER, SPLIT, Variable

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
    # activation cells, where they were measured, per split
    "cells_met": Variable("different activation cells that points of the grid are in", "cells"),
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
    "shape_bad_valleys": Variable(
        "part of the points in bad valleys: every path to the least loss climbs", "1"
    ),
    "shape_bad_valley_depth": Variable(
        "greatest climb out of a bad valley on the way to the least loss", "1"
    ),
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
    # of the descents of any scan, per split; with a known global minimum of the first split;
    # ends_low_enough with a target
    "ends_global": Variable("descents that end at the global minimum (reference split)", "1"),
    "ends_global_fraction": Variable(
        "part of the descents that end at the global minimum (reference split)", "1"
    ),
    "ends_spurious": Variable("descents that end at another minimum (reference split)", "1"),
    "ends_minimum": Variable("descents that end at a minimum, global or not", "1"),
    "ends_saddle": Variable("descents that end at a saddle", "1"),
    "ends_not_converged": Variable("descents that have not converged", "1"),
    "ends_low_enough": Variable("descents that end at their target, not converged", "1"),
    "ends_loss_min": Variable(
        "least loss at the end of a descent that has converged or come to its target", "1"
    ),
    "ends_loss_max": Variable(
        "greatest loss at the end of a descent that has converged or come to its target", "1"
    ),
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
    "cells_met": (SPLIT,),
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

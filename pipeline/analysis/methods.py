"""How the variables of the analysis were obtained, where their long names do not say."""

from __future__ import annotations

from schemas.statistics import ANALYSIS

FINITE = "over the points where it is finite; NaN where there are none"
_ARGMIN = "NaN passed over, -inf counted as least; the first point in C order where values tie"
_MINIMISERS = (
    "nearest of the points whose target_loss ties with the least "
    "within 1e-9 of its range and rounding; "
)
_GREATEST = "NaN passed over, +inf counted as greatest"
_EUCLIDEAN = "Euclidean, in the coordinates of the axes"
_NEIGHBOURS = (
    "no neighbour, of the 3^z - 1, is lower; a plateau counts once; NaN and +inf are walls; "
    "minima no deeper than rounding, the resolution in the group minima, are merged into the "
    "basin beyond their pass and not counted"
)
_VALLEYS = (
    "a connected part of a sub-level set of the grid's points that does not reach their least loss "
    "(Nguyen et al. 2018, there of all parameters); each point is connected with the 3^z - 1 "
    "around it; NaN and +inf are walls; climbs within rounding, the resolution in the group "
    "minima, are none"
)
_DESCENT = (
    "by steepest descent from neighbour to neighbour, and over passes no higher than rounding; "
    "NaN and +inf are walls"
)
_BARRIER = "loss(t) - [(1 - t) loss(0) + t loss(1)] over t in [0, 1] (Entezari et al. 2021)"

METHODS = {
    **{name: FINITE for name in ANALYSIS if name.startswith(("fidelity_", "transfer_"))},
    "cells_met": "different hashes; a cell met in several parts counts once",
    "theorem_constant": FINITE,
    "target_range": FINITE,
    "transfer_argmin_shift": _ARGMIN,
    "transfer_argmin_cells": _ARGMIN,
    "transfer_regret": _ARGMIN,
    **dict.fromkeys(("minimum", "argmin", "target_minimum", "target_argmin"), _ARGMIN),
    "loss_at_target_argmin": "at the coordinates of target_argmin",
    "proximity_distance": _MINIMISERS + _EUCLIDEAN,
    "proximity_cells": _MINIMISERS + "absolute difference of indices",
    "origin_loss": "NaN where it is not finite, and so is what is measured from it",
    "origin_width": (
        "between the crossings of L0 + (level - 1) |L0| next to the origin, L0 the loss there, "
        "interpolated linearly; NaN where they are not both on the grid, and where L0 = 0"
    ),
    "origin_curvature": (
        "finite differences over three points along each axis, exact for quadratics; "
        "NaN where they are not all on the grid and finite"
    ),
    "origin_curvature_error": "over the entries known both ways",
    "sharpness_max_rise": f"{_EUCLIDEAN}; {_GREATEST}",
    "sharpness_mean_rise": f"{_EUCLIDEAN}; over the points where the loss is finite",
    "sharpness_epsilon": (
        "(greatest loss within the radius along every axis - L0) / (1 + L0) * 100, L0 the loss at "
        f"the origin (Keskar et al. 2017, eq. 4); {_GREATEST}; NaN where L0 <= -1"
    ),
    "sharpness_points": f"{_EUCLIDEAN}; the origin is one of them",
    "shape_convexity": (
        "Hessian by finite differences over three points along each axis, positive semi-definite "
        "but for rounding of the stored losses"
    ),
    "shape_convexity_points": "not at the edge, and every loss around is finite",
    "shape_roughness": (
        "sum of |differences| over greatest minus least, 1 for a monotone line; without lines "
        "that are not finite throughout, or constant but for rounding"
    ),
    "shape_minima": _NEIGHBOURS,
    "shape_minima_at_edge": _NEIGHBOURS,
    "shape_bad_valleys": f"{_VALLEYS}; points where the loss is NaN or +inf are not counted",
    "shape_bad_valley_depth": f"{_VALLEYS}; 0 if there is none, +inf for one behind walls",
    "basin_fraction": f"{_DESCENT}, of which the fraction takes no account",
    "basin_minimum": _DESCENT,
    "basin_argmin": f"{_DESCENT}; the first point in C order of a plateau",
    "basin_distance": _EUCLIDEAN,
    "barrier": f"{_BARRIER}; {_GREATEST}",
    "barrier_at": f"the least t where the barrier is reached; {_BARRIER}",
    "barrier_max_rise": "greatest loss over t in [0, 1] minus the greater of loss(0) and loss(1)",
}

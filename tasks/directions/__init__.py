"""Directions through parameter space: drawn, between checkpoints, of curvature, from files."""

from tasks.directions.random import filter_normalised, random_directions

__all__ = ["filter_normalised", "random_directions"]

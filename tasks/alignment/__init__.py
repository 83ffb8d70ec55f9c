"""Permutation symmetries of a module's hidden units, and the alignment of two checkpoints."""

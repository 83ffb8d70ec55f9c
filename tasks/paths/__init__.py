"""Curves between checkpoints: how they bend, and how their bends are trained."""

"""Descents from many points at once."""

"""Every low-dimensional pattern occurs in a loss surface (Czarnecki et al. 2019)."""

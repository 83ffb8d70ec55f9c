"""Every low-dimensional pattern occurs in a loss surface: Czarnecki et al. 2019, arXiv:1912.07559."""

"""Linear networks: deep linear ones, and linear residual ones."""

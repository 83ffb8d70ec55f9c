"""A user's own model, checkpoints and data as a landscape."""

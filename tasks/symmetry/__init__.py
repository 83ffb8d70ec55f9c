"""What symmetries of hidden units do to the loss surface: copies, permutations, saddles."""

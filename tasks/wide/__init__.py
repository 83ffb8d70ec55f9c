"""Networks with a hidden layer as wide as there are samples."""

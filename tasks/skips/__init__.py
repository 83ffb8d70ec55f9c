"""Networks whose hidden units are connected to the outputs, and which have no bad local valley."""

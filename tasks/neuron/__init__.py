"""Single neurons: their local minima, or that there are none."""

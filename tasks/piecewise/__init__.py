"""Networks of piecewise-linear units: their bad local minima, and their activation cells."""

"""Training of networks with skip units and without, along which their loss is scanned."""

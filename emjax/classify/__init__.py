"""Classifications of aligned particles: em3d, subspace and som, and the engine under them."""

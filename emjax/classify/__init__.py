"""Classifications of aligned particles: em3d, subspace and som, and what they share."""

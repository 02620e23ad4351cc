"""Classifications of aligned particles: em3d, subspace, som."""

"""Classifications of aligned particles: em3d with the engine under it, subspace, som."""

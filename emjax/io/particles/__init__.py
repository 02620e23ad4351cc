"""Particle sets: what every particle file says, whichever program wrote it."""

"""Particle files between RELION and CryoSPARC."""

"""Simulated particles and images with known states."""

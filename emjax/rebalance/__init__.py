"""Affinity of references, superclasses, and even sizes."""

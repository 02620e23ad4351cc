"""Classes handed to other programs."""

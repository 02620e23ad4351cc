"""Classes in the coordinates of a basis of volumes, and what held-out particles say of them."""

"""Which methods held-out particles judge, in the order in which the report names them."""

# What was judged, in words, by method.
JUDGED = {"em3d": "full maps", "subspace": "maps inside the subspace"}

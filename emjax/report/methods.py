"""Which methods held-out particles judge."""

from emjax.campaign.methods import METHODS

# What was judged, in words, by method.
JUDGED = {name: method.judged for name, method in METHODS.items() if method.judged}
SUBSPACE = "subspace"

"""Class labels of runs, whichever program wrote them."""

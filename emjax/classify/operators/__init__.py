"""One pass of the data for every class of every run: blocks, slicing, insertion."""

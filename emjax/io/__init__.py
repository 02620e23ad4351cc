"""Files in and out: STAR, .cs, image stacks, maps, labels, exports; knows no JAX."""

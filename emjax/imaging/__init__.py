"""Images and volumes as arrays: grids, CTF, slices, masks, noise, FSC, reconstruction."""

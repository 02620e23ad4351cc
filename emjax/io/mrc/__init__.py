"""MRC files: headers, maps, image stacks, references."""

"""3D classification without alignment by expectation-maximisation."""

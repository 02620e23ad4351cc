"""What many classifications say together: intersections, significance, number of classes."""

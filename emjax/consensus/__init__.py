"""What many classifications say together: intersections, significance, consensus, rebalancing."""

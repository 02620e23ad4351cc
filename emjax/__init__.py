"""Consensus of many seeded classifications of cryo-EM particles."""

"""Hierarchical inference: what a small network saves by asking a large one only where it should."""

"""Bandits that choose an exit, a threshold or a split for the data that comes, without labels; one per file."""

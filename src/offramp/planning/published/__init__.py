"""Planners as published, one per file, over the same three tables."""

"""Conditionally deep hybrid networks: a low-bit edge, full precision for what does not exit."""

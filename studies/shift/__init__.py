"""Shift: what blur and noise do to the answers a device decides, and what stops them."""

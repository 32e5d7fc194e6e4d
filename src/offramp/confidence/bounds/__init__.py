"""Finite-sample bounds and tests of a mean loss."""

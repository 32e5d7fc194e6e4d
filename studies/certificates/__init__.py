"""Finite-sample certificates: promises kept, and what they cost."""

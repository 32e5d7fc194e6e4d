"""Tests of `offramp.training.lowbit`."""

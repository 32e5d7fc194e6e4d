"""Tests of `offramp.cascade.kernels`."""

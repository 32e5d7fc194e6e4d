"""Hierarchical inference on real processes over a 4G trace: latency, bytes, accuracy and offloads of the policies."""

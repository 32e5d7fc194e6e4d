"""Kernels in C, compiled at first use; whatever is missing falls back to ONNX Runtime."""

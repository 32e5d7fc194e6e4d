"""Open Inference Protocol v2: the generated messages (``generate.sh`` writes them from the .proto)."""

"""Floor 1: tensors to bytes and back, one codec per file."""

"""Floor 2: the evidence: logits of every exit on every sample."""

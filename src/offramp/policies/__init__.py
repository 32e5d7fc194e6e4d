"""Floor 3: online policies, one per file."""

"""Floor 1: reading data sets and splitting their rows once."""

"""Floor 1: scores, calibration, gates (pure numpy and scipy)."""

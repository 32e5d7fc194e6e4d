"""Networks to start from, written in plain torch."""

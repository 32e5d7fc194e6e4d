"""Many tests at once, with one probability of any false rejection."""

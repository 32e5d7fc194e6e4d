"""Floor 1: the cascade folder, its manifest, and running its segments."""

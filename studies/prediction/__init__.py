"""Plans run for real, and what was predicted of them."""

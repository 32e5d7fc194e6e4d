"""Floor 1: links, networks, bandwidth traces and the shaping relay."""

"""Floor 2: the costs: seconds and bytes per segment, cut and tier."""

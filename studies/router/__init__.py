"""A router in front of the local model: what skipping it saves, at three ratios of local to remote compute."""

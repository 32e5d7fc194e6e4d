"""Bandit exits and expert temperatures on blurred and noisy images: what they cost, and what they get wrong."""

"""Cascades of text encoders (needs the extra 'train-text')."""

"""Floor 3: attach exits, train, export (needs the extra 'train')."""

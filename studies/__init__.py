"""Published systems and our own claims, recomputed from committed records in seconds."""

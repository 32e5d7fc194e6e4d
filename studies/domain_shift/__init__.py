"""SST-2's network on texts of another domain: which exits adapt without labels, and at what price."""

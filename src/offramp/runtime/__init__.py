"""Floor 4: device client, tier server, transport, metrics."""

"""How much of what an oracle gains from early exits the published rules take."""

"""Floor 5: figures, terminal tables and ``report.html``."""

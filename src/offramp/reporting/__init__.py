"""Floor 5: figures and ``report.html``."""

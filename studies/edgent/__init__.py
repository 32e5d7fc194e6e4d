"""Edgent: exit and cut chosen for a deadline, on steady and on moving links."""

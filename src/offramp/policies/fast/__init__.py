"""Replays of many shuffles at once, with numpy over the shuffles."""

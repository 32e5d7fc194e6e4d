"""Every planner on every committed cascade and five networks: mean latency at an accuracy loss of at most one point."""

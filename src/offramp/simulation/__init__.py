"""Floor 4: plans in virtual time, without sockets."""

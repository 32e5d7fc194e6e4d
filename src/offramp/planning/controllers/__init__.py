"""Which plan the next sample takes: the same decision live and in virtual time."""

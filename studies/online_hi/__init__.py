"""Online policies at one early exit, on published terms and on those of life."""

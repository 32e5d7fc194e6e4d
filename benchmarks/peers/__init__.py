"""Other model servers, started and asked as ours."""

"""The training objective, equations 7 to 12."""

"""How fast things are, each beside what the machine could do at best; see README.md."""

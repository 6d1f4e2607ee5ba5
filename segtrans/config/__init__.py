"""Parameters and records: what is allowed, and what a run folder's files hold. Imports no torch."""

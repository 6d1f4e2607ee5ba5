"""Table, page and summary of a preset's runs."""

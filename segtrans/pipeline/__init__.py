"""What the Snakefile needs: checks before any job, what made a file, whose lock it is."""

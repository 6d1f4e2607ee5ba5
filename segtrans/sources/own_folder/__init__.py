"""What folders of pictures and of scans have in common: names, folds, work in parallel."""

"""The methods that the paper compares: one file each, one entry each in the catalogue."""

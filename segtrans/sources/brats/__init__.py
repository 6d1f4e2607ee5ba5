"""Half-slices of brains with a tumour (section 4.2)."""

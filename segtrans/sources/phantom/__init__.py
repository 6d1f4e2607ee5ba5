"""Synthetic phantoms: a real average brain, deformed, with a tumour grown in it."""

"""Scans of patients as they lie in folders, and reading their volumes."""

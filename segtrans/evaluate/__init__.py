"""Scores, tables and figures of finished runs."""

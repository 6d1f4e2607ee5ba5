"""Digits on clutter (section 4.1)."""

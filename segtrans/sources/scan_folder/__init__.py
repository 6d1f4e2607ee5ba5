"""Scans of the user's own: from a folder to a data set, and back to each scan's own geometry."""

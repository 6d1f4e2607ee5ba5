"""Devices, processes and how an update is run on them."""

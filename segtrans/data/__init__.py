"""Data: where images come from, how they are made, stored and drawn."""

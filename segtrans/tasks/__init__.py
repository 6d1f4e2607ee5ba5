"""What an image of each task is. Imports no torch."""

"""What the shipped weights make of images that they were not trained on."""

"""Where data sets come from: a room for each kind of images."""

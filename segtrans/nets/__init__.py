"""Networks of tables 2 to 9, for any image size and channel count."""

"""Downloads, checked by hash, and archives."""

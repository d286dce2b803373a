"""What a request does: one verb a file, and `handle`, which chooses among them."""

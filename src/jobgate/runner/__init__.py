"""The back: takes queued jobs, has engines run them, saves what became of them. One duty a file."""

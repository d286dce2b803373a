"""Numbered, forward only; version N of the program works on schema N+1."""

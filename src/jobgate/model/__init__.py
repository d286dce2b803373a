"""What a job is: the words every dialect and every engine share.

Standard library and msgspec only. Nothing here reads a clock, opens a file, or awaits.
"""

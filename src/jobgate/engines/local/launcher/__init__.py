"""The launcher: one small process for a data folder, parent of its jobs, that outlives the gateway.

Standard library only, and started with this directory alone on its path: it is there in milliseconds. It starts jobs,
reaps them, keeps each exit until the gateway has saved it, and speaks length-prefixed JSON over ``DIRECTORY/socket``.
One pass of its loop reads all that has come and answers with one frame. Sources: hot-path contract, sections 1 and 7;
prctl(2), wait4(2), pidfd_open(2), fallocate(2).
"""

"""The explorer: schedules of a C program under x86-TSO, searched, replayed, minimized and shown.

Python asks, explorer processes work: see shm_layout/explore.h for what they share.
"""

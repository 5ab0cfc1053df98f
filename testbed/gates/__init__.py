"""A run of the explorer, forced on the real machine: CPUs wait for each other at a few places."""

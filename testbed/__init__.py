"""A userspace laboratory for races in live code patching and probe lifetimes."""

__version__ = "0.1.0"

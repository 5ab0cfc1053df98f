"""The text that probes go into: assembled functions, a real library, and what is known of both."""

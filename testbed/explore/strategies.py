"""The names of strategies, see ``enum explore_strategy`` of shm_layout/explore.h."""

AUTO = "auto"
EXHAUSTIVE = ("dpor", "sleep", "stateful")
SAMPLING = ("portfolio", "random", "weighted", "pct", "pos", "surw", "round-robin")
STRATEGIES = (AUTO, *SAMPLING, *EXHAUSTIVE)

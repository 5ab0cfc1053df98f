"""The names of strategies, see ``enum explore_strategy`` of shm_layout/explore.h, and defaults."""

AUTO = "auto"
EXHAUSTIVE = ("dpor", "sleep", "stateful")
SAMPLING = ("portfolio", "random", "weighted", "pct", "pos", "surw", "round-robin")
BY_DEPTH = ("pct", "portfolio")
STRATEGIES = (AUTO, *SAMPLING, *EXHAUSTIVE)

DEFAULT_DURATION_S = 60.0
DEFAULT_BUFFER = 8
DEFAULT_MAX_STEPS = 100_000

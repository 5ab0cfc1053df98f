"""What can go wrong for a user of the testbed: every error is one sentence and a next step."""

import errno

# Why a file cannot be written for which there would be room elsewhere.
NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class TestbedError(Exception):
    """Something that the user can act on; ``str()`` of it is one sentence."""

    # pytest collects classes by name: this one is not a test.
    __test__ = False


class BuildError(TestbedError):
    """The core could not be built.

    Attributes:
        output: what the compiler wrote, unchanged; empty when it was never started.
    """

    def __init__(self, sentence: str, output: str = "") -> None:
        super().__init__(f"{sentence}\n{output.rstrip()}" if output else sentence)
        self.output = output


class PatchError(BuildError):
    """A patch does not apply to the sources."""


class LayoutError(TestbedError):
    """A type or a symbol was asked for that the core does not have."""


class MachineUnable(TestbedError):
    """A machine cannot be booted here: wrong system, no memory, bad configuration."""


class MachineLost(TestbedError):
    """A machine ended, or stopped answering, in a way that says nothing about the tested code."""


class MachineTimeout(TestbedError):
    """A machine did not do in time what was asked of it."""


class MachineFrozen(TestbedError):
    """A machine has stopped with a finding, so it cannot do what was asked of it."""

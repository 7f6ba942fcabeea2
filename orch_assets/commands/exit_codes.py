"""Exit codes of the commands, as listed in docs/reference/commands.md."""

from typing import Final

SUCCEEDED: Final = 0
FAILED: Final = 1
NONE_COULD_RUN: Final = 2
INTERRUPTED: Final = 130
TERMINATED: Final = 143

"""JSONata's own engine, in a node process."""

import json
import subprocess
import threading
from pathlib import Path
from typing import Any

NODE = Path(__file__).parent / "node"
# Why tests that ask JSONata's engine, or the validator, are skipped.
NO_NPM = "npm is not here: install Node.js (apt-get install npm), then `make test` again"


class Engine:
    """A node process that evaluates one expression at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process = subprocess.Popen(
            ["node", "jsonata.js"],
            cwd=NODE,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __call__(self, expression: str) -> Any:
        """Return an expression's value.

        Raises:
            ValueError: it has none.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with self._lock:
            self._process.stdin.write(json.dumps(expression) + "\n")
            self._process.stdin.flush()
            answer = json.loads(self._process.stdout.readline())
        if "error" in answer:
            raise ValueError(answer["error"])
        return answer["value"]

    def close(self) -> None:
        """End the process."""
        self._process.communicate()

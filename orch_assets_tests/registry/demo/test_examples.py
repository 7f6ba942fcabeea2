import doctest
from types import ModuleType

import pytest

from orch_assets.registry.demo import faults, registry, server


@pytest.mark.parametrize("module", [faults, registry, server], ids=lambda module: module.__name__)
def test_the_examples_of_the_docstrings_run(module: ModuleType) -> None:
    result = doctest.testmod(module)
    assert result.attempted > 0
    assert result.failed == 0

import doctest
from types import ModuleType

import pytest

from orch_assets.demo import demo_registry as registry
from orch_assets.demo import demo_server as server
from orch_assets.demo import faults


@pytest.mark.parametrize("module", [faults, registry, server], ids=lambda module: module.__name__)
def test_the_examples_of_the_docstrings_run(module: ModuleType) -> None:
    result = doctest.testmod(module)
    assert result.attempted > 0
    assert result.failed == 0

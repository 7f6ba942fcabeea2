"""The fixtures that the contract of stores needs for each backend, and the tables it stores."""

import itertools
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import pandas as pd
import pytest

from orch_assets.stores import PipelineStore, StorageFormat

OpenStore = Callable[..., PipelineStore]
Objects = Callable[[], dict[str, bytes]]
Overwrite = Callable[[str, bytes], None]
Remove = Callable[[str], None]

FRAME = pd.DataFrame(
    {"subject": ["001", "", None], "weight": [70.5, None, 0.1], "visit": [1, 2, 3]}
)
# Numbers for the prefixes of stores that one test opens one after the other.
NEW_STORE = itertools.count()
OTHER = pd.DataFrame({"subject": ["002"], "weight": [71.5], "visit": [4]})


class StoreFixtures:
    """Subclasses implement the fixtures that raise here, all of them for one empty location.

    Attributes:
        share: Of many similar cases, each so-manieth is tried. Buckets are slow, and the local disk
            tries them all.
    """

    share: ClassVar = 1

    @pytest.fixture
    def open_store(self) -> OpenStore:
        """Return a function of ``prefix`` and ``format`` that opens a store."""
        raise NotImplementedError

    @pytest.fixture
    def objects(self) -> Objects:
        """Return a function that returns all objects by key, the hidden ones too."""
        raise NotImplementedError

    @pytest.fixture
    def overwrite(self) -> Overwrite:
        """Return a function that changes an object behind the store's back."""
        raise NotImplementedError

    @pytest.fixture
    def remove(self) -> Remove:
        """Return a function that removes an object behind the store's back."""
        raise NotImplementedError

    @pytest.fixture(params=list(StorageFormat))
    def store(self, request: pytest.FixtureRequest, open_store: OpenStore) -> PipelineStore:
        return open_store(prefix="trials/prod", format=request.param)

    @pytest.fixture
    def temporary(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """Return the folder for temporary files."""
        folder = tmp_path / "temporary"
        folder.mkdir()
        monkeypatch.setattr(tempfile, "tempdir", str(folder))
        return folder

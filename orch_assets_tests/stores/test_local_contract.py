"""A store in a local folder passes the contract of all stores."""

from pathlib import Path

import pytest

from orch_assets.stores import LocalPipelineStore, StorageFormat
from orch_assets_tests.contracts.store_fixtures import Objects, OpenStore, Overwrite, Remove
from orch_assets_tests.contracts.stores import StoreContract


class TestLocalPipelineStore(StoreContract):
    @pytest.fixture
    def open_store(self, tmp_path: Path) -> OpenStore:
        def opened(
            prefix: str = "",
            format: StorageFormat = StorageFormat.PARQUET,  # noqa: A002
        ) -> LocalPipelineStore:
            return LocalPipelineStore(tmp_path, prefix, format)

        return opened

    @pytest.fixture
    def objects(self, tmp_path: Path) -> Objects:
        def found() -> dict[str, bytes]:
            return {
                path.relative_to(tmp_path).as_posix(): path.read_bytes()
                for path in tmp_path.rglob("*")
                if path.is_file()
            }

        return found

    @pytest.fixture
    def overwrite(self, tmp_path: Path) -> Overwrite:
        def write(key: str, data: bytes) -> None:
            (tmp_path / key).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / key).write_bytes(data)

        return write

    @pytest.fixture
    def remove(self, tmp_path: Path) -> Remove:
        def gone(key: str) -> None:
            (tmp_path / key).unlink()

        return gone

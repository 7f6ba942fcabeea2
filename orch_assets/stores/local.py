"""Artifacts in a folder of the local disk."""

import os

from orch_assets.stores.formats import StorageFormat
from orch_assets.stores.local_disk import LocalDisk
from orch_assets.stores.store import PipelineStore


class LocalPipelineStore(PipelineStore):
    """Artifacts as files below a folder, published as in a cloud's store.

    Nothing is made before the first write.

    Args:
        root: the folder; a relative one is the working folder's at this moment.
        prefix: goes before every name, so it is a folder in the root.
        format: of tables.
        escape_formulas: as :class:`~orch_assets.stores.csv_text.CsvFormat` has it.
        private: whether the folder's owner alone may read it, whatever the umask says: folders
            have mode 0700, files 0600, and a root that is there already is closed to others.

    Example:
        >>> import pandas as pd, tempfile
        >>> store = LocalPipelineStore(tempfile.mkdtemp(), prefix="prod")
        >>> uri = store.upload(pd.DataFrame({"site": ["001"]}), "features/sites")
        >>> store.download("features/sites")
          site
        0  001
        >>> store.list_artifacts("features/")
        ['features/sites']
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        prefix: str = "",
        format: StorageFormat = StorageFormat.PARQUET,  # noqa: A002, the seed's name
        *,
        escape_formulas: bool = False,
        private: bool = False,
    ) -> None:
        super().__init__(
            LocalDisk(root, private=private), prefix, format, escape_formulas=escape_formulas
        )

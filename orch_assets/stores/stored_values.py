"""JSON values and documents: artifacts whose bytes no table format reads."""

import json
from datetime import datetime
from typing import Any

from orch_assets.errors import UnstorableValueError
from orch_assets.json_values import NotJsonError, json_value, to_json
from orch_assets.marked_names import named
from orch_assets.stores.artifacts import ArtifactKind, Published
from orch_assets.stores.catalog import ArtifactHistory
from orch_assets.stores.formats.documents import document_kind
from orch_assets.stores.formats.plain_state import State, plain_state
from orch_assets.stores.lineage import carrying_over
from orch_assets.stores.manifest import Content
from orch_assets.stores.spooling import writes


class StoredValues(ArtifactHistory):
    """Values and documents by name, to be published and read."""

    def publish_json(
        self,
        value: Any,
        name: str,
        *,
        missing_as_null: bool = False,
        replaces: str | None = None,
        state: State | None = None,
    ) -> Published:
        """Publish a value as JSON; tuples become lists, and numpy scalars become Python numbers.

        Args:
            value: Text, a finite number, a boolean or None; or lists of these, or dicts of these
                with text as keys.
            name: Name of the artifact.
            missing_as_null: Whether NaN and pandas' missing values are stored as null.
            replaces: See :meth:`publish`.
            state: See :meth:`publish`.

        Raises:
            UnstorableValueError: The value, or one inside it, is not JSON-serializable; or a key
                isn't text.
        """
        keys = self._keys(name, ArtifactKind.JSON)
        try:
            plain = json_value(value, missing_as_null=missing_as_null)
        except NotJsonError as error:
            raise UnstorableValueError(
                f"{named(name)} is not a table and is not JSON-serializable. {error.marked} Return "
                "a table (pandas or Arrow), a dict of tables, one figure, or text, finite numbers, "
                "lists and dicts.",
                artifact=name,
            ) from None
        stored = self._publisher.store(writes(to_json(plain)), keys.version)
        content = Content(stored.sha256, stored.size)
        with carrying_over(replaces):
            return self._published(
                keys, stored.size, content, replaces=replaces, state=plain_state(state, name)
            )

    def download_json(
        self, name: str, version: str | None = None, *, as_of: datetime | str | None = None
    ) -> Any:
        """Return a JSON value; raises as :meth:`download`."""
        keys = self._keys(name, ArtifactKind.JSON)
        with self._input(keys, version, as_of) as (file, _):
            return json.load(file)

    def publish_document(
        self,
        data: bytes,
        name: str,
        media_type: str,
        *,
        replaces: str | None = None,
        state: State | None = None,
    ) -> Published:
        """Publish a picture, a page or another document, whose bytes stay as they are.

        Args:
            data: The document.
            name: Name of the artifact.
            media_type: ``image/png``, ``image/svg+xml``, ``text/html`` or ``application/pdf``; it
                decides about the artifact's kind, and so about its extension.
            replaces: See :meth:`publish`.
            state: See :meth:`publish`.

        Raises:
            UnstorableValueError: It is of another media type, or its bytes are not of that type.
        """
        kind = document_kind(data, media_type, name)
        keys = self._keys(name, kind)
        stored = self._publisher.store(writes(data), keys.version)
        content = Content(stored.sha256, stored.size)
        with carrying_over(replaces):
            return self._published(
                keys, stored.size, content, replaces=replaces, state=plain_state(state, name)
            )

    def download_document(
        self,
        name: str,
        version: str | None = None,
        *,
        kind: ArtifactKind,
        as_of: datetime | str | None = None,
    ) -> bytes:
        """Return a document of a kind, such as ``ArtifactKind.PNG``; raises as :meth:`download`."""
        with self._input(self._keys(name, kind), version, as_of) as (file, _):
            file.seek(0)
            return file.read()

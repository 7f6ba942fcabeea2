"""One request to the API: what it asks for, and how its errors name it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar
from urllib.parse import quote

from orch_assets.errors import RegistryError
from orch_assets.marked_names import named_path, with_known_names
from orch_assets.study import check_study_key, get_current_study

API_PATH = "/api/v1/edc"

E = TypeVar("E", bound=RegistryError)


def segment(text: str) -> str:
    """Return the text as one segment of a URL's path."""
    return quote(text, safe="")


@dataclass(frozen=True)
class ApiRequest:
    """One request.

    Attributes:
        endpoint: The path below ``/api/v1/edc``, percent-encoded.
        study_key: The study asked for; None for requests that concern no single study.
        page: 0-based; None if the request isn't paged.
        parameters: The query. Its values may be data values, so no repr shows them.
    """

    endpoint: str
    study_key: str | None = None
    page: int | None = None
    parameters: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def logged_endpoint(self) -> str:
        """The endpoint for the log; in a study's context, without any other study's key."""
        return with_known_names(named_path(self.endpoint), is_known_study)

    def at(self, page: int) -> "ApiRequest":
        """Return the same request for one page."""
        return replace(self, page=page, parameters={**self.parameters, "page": str(page)})

    def error(
        self,
        error: type[E],
        problem: str,
        *,
        status: int | None = None,
        code: str | None = None,
    ) -> E:
        """Return an error that names this request."""
        return error(
            problem,
            endpoint=self.endpoint,
            study_key=self.study_key,
            page=self.page,
            status=status,
            code=code,
        )


def is_known_study(study_key: str) -> bool:
    """Return whether a log may name a study.

    In a study's context only that study's key: a pipeline may have built another one from data.
    """
    return get_current_study() in {None, study_key}


def plain_code(value: Any) -> str | None:
    """Return the API's error code if the value is one: at most nine digits.

    Anything else that a server puts there could be a data value, and must not reach a message.
    """
    text = str(value) if isinstance(value, (str, int)) and not isinstance(value, bool) else ""
    return text if re.fullmatch(r"[0-9]{1,9}", text) else None


def study_of(study_key: str | None, endpoint: str) -> str:
    """Return the study key passed, or else that of the current ``study_context``.

    Raises:
        TypeError: There is neither.
        StudyKeyError: The key is not a valid study key.
    """
    study_key = get_current_study() if study_key is None else study_key
    if study_key is None:
        raise TypeError(f"{endpoint}: pass study_key, or call inside study_context(study_key).")
    return check_study_key(study_key)

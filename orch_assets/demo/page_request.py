"""The parameters ``page``, ``size`` and ``sort`` of a request."""

from collections.abc import Sequence
from dataclasses import dataclass

from starlette.datastructures import QueryParams

from orch_assets.demo.envelope import ValidationError
from orch_assets.demo.read_api import Endpoint
from orch_assets.demo.row_tables import Sort

MAX_PAGE = 2**31 - 1
MAX_SIZE = 500
DEFAULT_SIZE = 25


@dataclass(frozen=True)
class PageRequest:
    """The requested page: its 0-based number, its number of rows, and the order of the rows."""

    page: int
    size: int
    sort: Sort

    @property
    def start(self) -> int:
        """Index of the page's first row."""
        return self.page * self.size


def page_request(params: QueryParams, endpoint: Endpoint) -> PageRequest:
    """Read ``page``, ``size`` and ``sort``.

    Raises:
        ValidationError: ``page`` or ``size`` is repeated, is not a number or is out of range, or
            ``sort`` names no field of the endpoint.
    """
    return PageRequest(
        page=_integer(params, "page", default=0, low=0, high=MAX_PAGE),
        size=_integer(params, "size", default=DEFAULT_SIZE, low=1, high=MAX_SIZE),
        sort=_sort(params.getlist("sort"), endpoint),
    )


def single(params: QueryParams, name: str) -> str | None:
    """Return the value of a parameter that may occur once; None if it is missing.

    Raises:
        ValidationError: The parameter is repeated.
    """
    values = params.getlist(name)
    if len(values) > 1:
        raise ValidationError(
            "The parameter occurs more than once.", attribute=name, value=",".join(values)
        )
    return values[0] if values else None


def flag(params: QueryParams, name: str) -> bool:
    """Return the value of a boolean parameter; False if it is missing.

    Raises:
        ValidationError: The value is not ``true`` or ``false``, or the parameter is repeated.
    """
    value = single(params, name)
    if value not in {None, "true", "false"}:
        raise ValidationError("The value must be true or false.", attribute=name, value=str(value))
    return value == "true"


def _integer(params: QueryParams, name: str, *, default: int, low: int, high: int) -> int:
    text = single(params, name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(MAX_PAGE))):
        raise ValidationError("The value must be a whole number.", attribute=name, value=text)
    if not low <= int(text) <= high:
        raise ValidationError(
            f"The value must be between {low} and {high}.", attribute=name, value=text
        )
    return int(text)


def _sort(values: Sequence[str], endpoint: Endpoint) -> Sort:
    if not values:
        return ((endpoint.default_sort, "ASC"),)
    sort = []
    for value in values:
        name, _, direction = value.partition(",")
        if direction not in {"ASC", "DESC"} or name not in endpoint.scalars:
            raise ValidationError(
                "The value must be a field of the endpoint and ,ASC or ,DESC.",
                attribute="sort",
                value=value,
            )
        sort.append((name, direction))
    return tuple(sort)

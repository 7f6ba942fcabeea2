"""What differs between the versions of transport files."""

from dataclasses import dataclass
from typing import Final, Literal


@dataclass(frozen=True)
class TransportVersion:
    """Limits of a version.

    Source: SAS Institute, "The Record Layout of a Data Set in SAS Transport (XPORT) Format", for
    version 5 (TS-140) and for versions 8 and 9.

    Attributes:
        number: The version.
        name_length: Most letters of a name.
        upper_case: Whether names have capitals only.
        label_bytes: Most bytes of a column's label.
        text_bytes: Most bytes of a text.
        counts_rows: Whether the header has the number of rows. Otherwise blank rows at the end
            can't be told from the blanks that fill the file's last record.
    """

    number: Literal[5, 8]
    name_length: int
    upper_case: bool
    label_bytes: int
    text_bytes: int
    counts_rows: bool


VERSIONS: Final = {
    "xpt": TransportVersion(5, 8, True, 40, 200, counts_rows=False),
    "xpt8": TransportVersion(8, 32, False, 256, 32_767, counts_rows=True),
}

# Of a data set, in both versions.
DATA_SET_LABEL_BYTES: Final = 40

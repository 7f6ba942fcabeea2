"""Numbers of transport files: doubles of IBM mainframes, and days and seconds since 1960."""

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import numpy as np

# An IBM double is a sign, 7 bits of an exponent of 16, and a fraction of 56 bits between 1/16 and
# 1. So it holds each double of this range, which has 53 bits.
SMALLEST: Final = 16.0**-65  # 5.4e-79
TOO_LARGE: Final = 16.0**63  # 7.2e75

EPOCH_DAYS: Final = 3653  # from 1960-01-01 to 1970-01-01
SECONDS_A_DAY: Final = 86_400
MICROSECONDS: Final = 10**6  # a second
# SAS has dates from 1582-01-01 to 19900-12-31: as days since 1970.
FIRST_DAY: Final = -141_714
LAST_DAY: Final = 6_549_162

# The missing value `.`: no number, since its fraction is 0.
_MISSING: Final = 0x2E << 56


def ibm_doubles(values: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
    """Return doubles as IBM doubles: rows of 8 bytes, the most significant first.

    Args:
        values: 0, or within the range of IBM doubles; NaN becomes the missing value.
    """
    import numpy as np

    fraction, exponent = np.frexp(np.where(np.isfinite(values), values, 0.0))
    # x = fraction * 2^exponent = (fraction / 2^shift) * 16^power
    power = -(-exponent // 4)
    shift = power * 4 - exponent
    bits = np.ldexp(np.abs(fraction), 56 - shift).astype(np.uint64)
    bits |= (power + 64).astype(np.uint64) << np.uint64(56)
    bits |= np.signbit(values).astype(np.uint64) << np.uint64(63)
    bits = np.where(values == 0, np.uint64(0), bits)
    bits = np.where(np.isnan(values), np.uint64(_MISSING), bits)
    return bits.astype(">u8").view(np.uint8).reshape(-1, 8)


def seconds(
    counts: "np.ndarray[Any, Any]", a_second: int, since: int
) -> "tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]":
    """Return whole units of time as seconds, and which of them are rounded.

    A double near to now has steps of a quarter of a microsecond. A time counts as exact if the
    nearest whole unit of its seconds, or their nearest microsecond, is the time that it was.

    Args:
        counts: Units since 1970, or units of a duration; int64.
        a_second: Units a second.
        since: Seconds to be added.
    """
    import numpy as np

    whole, part = np.divmod(counts, a_second)
    whole = (whole + since).astype(np.float64)
    values = whole + part / a_second
    exact = np.zeros(len(counts), bool)
    for finest in {a_second, min(a_second, MICROSECONDS)}:
        exact |= np.rint((values - whole) * finest) * (a_second // finest) == part
    return values, ~exact

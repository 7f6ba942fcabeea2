#!/usr/bin/env bash
# Arrow's cast shortens nested lists whose items have the type null, and reports no error.
#
# Versions: pandas 3.1.1, pyarrow 26.0.1, numpy as pandas requires it, Python 3.11.
#
# Behaviour: ChunkedArray.cast to a nested type that contains the type null, even to the column's own
# type, returns a column whose innermost array has too few nulls. The new column has the same length
# and the same type, and equals() returns True. to_pandas() returns fewer items than there were, without
# an exception or a warning. Only validate(), to_pylist() and the writers detect it. With any other item
# type, the same cast is correct. The error of to_pylist() is reported as apache/arrow issue 43838
# (2024), which doesn't mention the shorter lists of to_pandas().
#
# Why it matters: Arrow infers the type null for a variable that has no value yet. Early in a study, this
# is true of most variables. To combine the tables of many studies, they are cast to one schema. A count
# of repeated measurements per visit, taken from the resulting frame, is then too low, and nothing fails.
#
# Output seen:
#   null items: before [[1, 2], [1]], after [[1, 1], [0]], equal: True, valid: False
#   int64 items: before [[1, 2], [1]], after [[1, 2], [1]], equal: True, valid: True
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    "pandas==3.1.1" "pyarrow==26.0.1"

cat >"$folder/check.py" <<'PYTHON'
import pyarrow as pa

# Two subjects, with two visits and one visit; none of the measurements has a value yet.
measurements = [[[None], [None, None]], [[None]]]


def counts(column):
    """Return the number of measurements of each visit, as pandas has them."""
    return [[len(visit) for visit in subject] for subject in column.to_pandas()]


def is_valid(column):
    try:
        column.validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True


for item in (pa.null(), pa.int64()):
    before = pa.chunked_array([pa.array(measurements, pa.list_(pa.list_(item)))])
    after = before.cast(before.type)
    print(
        f"{item} items: before {counts(before)}, after {counts(after)}, "
        f"equal: {after.equals(before)}, valid: {is_valid(after)}"
    )
PYTHON

cd "$folder"
"$folder/venv/bin/python" check.py | tee seen.txt
diff seen.txt - <<'EXPECTED'
null items: before [[1, 2], [1]], after [[1, 1], [0]], equal: True, valid: False
int64 items: before [[1, 2], [1]], after [[1, 2], [1]], equal: True, valid: True
EXPECTED

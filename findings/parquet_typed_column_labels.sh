#!/usr/bin/env bash
# pandas writes a Parquet file that pandas can't read: column labels that are categories, periods
# or intervals.
#
# Versions: pandas 3.1.1, pyarrow 26.0.1 (pandas 2.3.3 does the same), Python 3.11.
#
# Behaviour: DataFrame.to_parquet succeeds for a frame whose column labels are a CategoricalIndex,
# a PeriodIndex or an IntervalIndex. The labels are written as text and their dtype as "categorical",
# "period[M]" or "interval[int64, right]" in the file's pandas metadata. read_parquet passes that
# name to numpy, which doesn't know it, and raises TypeError. The data are in the file, but only
# pyarrow or another reader can read them.
#
# Why it matters: common statistics code produces such labels, for example counts by age group (pd.cut
# and crosstab), visits by month (periods), or an ordered severity in the columns of a pivot. The run
# that writes the table succeeds, and the next step can't read it.
#
# Output seen:
#   categorical labels: written, then TypeError: data type 'categorical' not understood
#   period labels: written, then TypeError: data type 'period' not understood
#   interval labels: written, then TypeError: data type 'interval' not understood
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    "pandas==3.1.1" "pyarrow==26.0.1"

cat >"$folder/check.py" <<'PYTHON'
import pandas as pd

age_group = pd.cut(pd.Series([34, 51, 67, 70]), [18, 50, 65, 80])
severity = pd.Categorical(
    ["MILD", "SEVERE", "MODERATE", "MILD"],
    categories=["MILD", "MODERATE", "SEVERE"],
    ordered=True,
)
arm = pd.Series(["A", "B", "A", "B"], name="arm")
month = pd.PeriodIndex(["2026-01", "2026-02", "2026-02", "2026-03"], freq="M")
labels = {
    "categorical": pd.crosstab(arm, severity),
    "period": pd.crosstab(arm, month),
    "interval": pd.DataFrame(
        [age_group.value_counts(sort=False).to_numpy()],
        columns=pd.IntervalIndex(age_group.cat.categories),
    ),
}
seen = []
for name, table in labels.items():
    table.to_parquet(f"{name}.parquet")
    try:
        pd.read_parquet(f"{name}.parquet")
        seen.append(f"{name} labels: written and read")
    except TypeError as error:
        seen.append(f"{name} labels: written, then TypeError: {error}")
print("\n".join(seen))
PYTHON

cd "$folder"
"$folder/venv/bin/python" check.py | tee seen.txt
diff seen.txt - <<'EXPECTED'
categorical labels: written, then TypeError: data type 'categorical' not understood
period labels: written, then TypeError: data type 'period' not understood
interval labels: written, then TypeError: data type 'interval' not understood
EXPECTED

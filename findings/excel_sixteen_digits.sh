#!/usr/bin/env bash
# A number written to an Excel workbook is another number: both common writers keep 16 digits, and the
# largest one becomes infinity.
#
# Versions: XlsxWriter 3.3.1, openpyxl 3.1.5, python-calamine 0.9.1, Python 3.11.
#
# Behaviour: XlsxWriter and openpyxl format a float with 16 significant digits. A float needs up to 17
# to be the same when it is read back. Nothing is raised or warned. The file format is not the reason:
# it holds numbers as text with any number of digits, and Excel itself writes 17. pandas' to_excel
# uses one of the two.
#
# Why it matters: derived values (means, ratios, converted laboratory results) often need 17 digits.
# Somebody who checks a listing against the table that it was made from finds differences that nobody
# made, and a comparison with a limit can give another answer.
#
# Output seen:
#   xlsxwriter, 0.1 + 0.2: written 0.30000000000000004, read 0.3
#   xlsxwriter, body mass index: written 24.007386888273317, read 24.00738688827332
#   xlsxwriter, largest float: written 1.7976931348623157e+308, read inf
#   openpyxl, 0.1 + 0.2: written 0.30000000000000004, read 0.3
#   openpyxl, body mass index: written 24.007386888273317, read 24.00738688827332
#   openpyxl, largest float: written 1.7976931348623157e+308, read inf
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    "XlsxWriter==3.3.1" "openpyxl==3.1.5" "python-calamine==0.9.1"

cat >"$folder/check.py" <<'PYTHON'
import openpyxl
import xlsxwriter
from python_calamine import CalamineWorkbook

numbers = {
    "0.1 + 0.2": 0.1 + 0.2,
    "body mass index": 70.2 / 1.71**2,
    "largest float": 1.7976931348623157e308,
}
with xlsxwriter.Workbook("xlsxwriter.xlsx") as book:
    book.add_worksheet().write_row(0, 0, numbers.values())
book = openpyxl.Workbook()
book.active.append(list(numbers.values()))
book.save("openpyxl.xlsx")
for writer in ("xlsxwriter", "openpyxl"):
    with CalamineWorkbook.from_path(f"{writer}.xlsx") as book:
        (found,) = book.get_sheet_by_index(0).to_python()
    for (name, number), cell in zip(numbers.items(), found, strict=True):
        print(f"{writer}, {name}: written {number!r}, read {cell!r}")
PYTHON

cd "$folder"
"$folder/venv/bin/python" check.py | tee seen.txt
diff seen.txt - <<'EXPECTED'
xlsxwriter, 0.1 + 0.2: written 0.30000000000000004, read 0.3
xlsxwriter, body mass index: written 24.007386888273317, read 24.00738688827332
xlsxwriter, largest float: written 1.7976931348623157e+308, read inf
openpyxl, 0.1 + 0.2: written 0.30000000000000004, read 0.3
openpyxl, body mass index: written 24.007386888273317, read 24.00738688827332
openpyxl, largest float: written 1.7976931348623157e+308, read inf
EXPECTED

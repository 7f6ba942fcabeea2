r"""Form tables: one wide table for each form of a study, typed by the study's data dictionary.

Arrow in, Arrow out: this package neither fetches records nor stores tables. The columns of a table
are, in this order:

- The key columns (`form_columns.KEY_COLUMNS`), as in ``records``. Rows are sorted by
  ``record_id``. Repeated records and records with a parent are rows like any other.
- ``data_unvnum``, ``data_date_created``, ``data_date_modified``: what the API itself adds to
  ``recordData``; only in the open tables.
- The form's variables in the order of the dictionary, including deleted and disabled ones, typed
  as `parsed_values` describes. A field's metadata has ``variable_name``, ``label``,
  ``variable_type``, ``sequence``, ``form_key``, ``variable_id``, ``deleted``, ``disabled``, and for
  a typed variable ``misfits``: how many answers could not be read as that type.
- ``<column>_RAW``, directly after each column that is not text: the answer as entered, in every
  row. Text comes without its quotes, a number with the digits that were sent (``1.50``), ``true``
  and ``false`` as such, lists and objects as their JSON. It is null only where the API sent null or
  nothing. The typed column is what could be read of it, and null where nothing could. A column of
  text is itself the answer as entered, so it has no such companion.
- ``record_data_extra``: a JSON object with the members of ``record_data`` that no variable of the
  form names, and those whose text Arrow cannot hold; null where there are none. The latter have
  half of a surrogate pair (``"\ud83d"``), which is U+FFFD in the columns; the metadata counts them
  as ``replaced_surrogates``.

So every answer is in the table as it was entered. Two things are only in ``record_data`` of
``records``: whether a value was sent as JSON text (``"5"``) or not (``5``), and whether a missing
answer was sent as null.

Names of columns and tables are plain, and unique even where case is ignored (`column_names`). A
table's metadata has ``form_key``, ``form_id``, ``form_name`` and the sum of its ``misfits``.
Columns, their types and their order depend only on the dictionary, not on the records; the counts
depend on the records.
"""

from orch_assets.imednet.form_tables.build import build_form_tables
from orch_assets.imednet.form_tables.changed_forms import EarlierForms, FormTables
from orch_assets.imednet.form_tables.date_patterns import DATE_PATTERNS
from orch_assets.imednet.form_tables.form_table import FormStream
from orch_assets.imednet.form_tables.partial_dates import partial_dates

__all__ = [
    "DATE_PATTERNS",
    "EarlierForms",
    "FormStream",
    "FormTables",
    "build_form_tables",
    "partial_dates",
]

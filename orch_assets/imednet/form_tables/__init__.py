r"""Form tables: one wide table for each form of a study, typed by the study's data dictionary.

Arrow in, Arrow out; nothing here knows how records are fetched or kept. A table's columns are, in
this order:

- The keys (``columns.KEY_COLUMNS``), as ``records`` has them. Rows are sorted by ``record_id``;
  records that repeat, and those with a parent, are rows like any other.
- ``data_unvnum``, ``data_date_created``, ``data_date_modified``: what the API itself puts into
  ``recordData``; in the open tables alone.
- The form's variables in the order of the dictionary, deleted and disabled ones too, typed as
  ``readings`` says. A field's metadata has ``variable_name``, ``label``, ``variable_type``,
  ``sequence``, ``form_key``, ``variable_id``, ``deleted``, ``disabled``, and where it has a
  companion the count ``misfits``.
- ``<column>__misfit``, the companion of each column that isn't text: what doesn't fit the declared
  type, as the JSON text that was sent. The column itself is null there.
- ``record_data_rest``: a JSON object with those members of ``record_data`` that all these columns
  don't give back as they were sent; null where there are none. Members are here for a key that is
  no variable of the form; for null, and empty text where the column isn't text; and for a spelling
  that isn't the column's own: a number sent as text or as ``5.0``, a date's midnight, a moment's
  zone, a number in a column of text, half of a surrogate pair (``"\ud83d"``), for which U+FFFD
  stands in a column of text; ``replaced_surrogates`` in the metadata counts these.

So nothing is lost: columns, companions and rest together are ``record_data``.

Names of columns, and of tables, are plain and unique whatever the case (``names``). A table's
metadata has ``form_key``, ``form_id``, ``form_name`` and the sum of its ``misfits``. Columns, their
types and order follow from the dictionary alone, whatever the records are; the counts don't.
"""

from orch_assets.imednet.form_tables.build import build_form_tables
from orch_assets.imednet.form_tables.form_table import FormStream

__all__ = ["FormStream", "build_form_tables"]

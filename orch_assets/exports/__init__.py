"""Exports: tables as files of other tools' formats, exact or noted, and read back before use.

A format writes tables into a file and reads the file back with a library. Whatever the format can't
hold is a note (`export_notes`): which study, form, record and column, and of what kind; never the
value. A cell without a note is in the file as it is in the table.

Nothing here imports Dagster.
"""

"""SAS transport files (XPORT), version 5 and version 8.

A table becomes one file with one data set. `sas_types` says what each Arrow type becomes,
`sas_cells` and `sas_numbers` convert cells and note what a file can't hold, `transport_names` gives
the names, `transport_writer` writes and `transport_reader` reads back with pyreadstat. What differs
between the versions is data: `transport_version.TransportVersion`.

pyreadstat writes the header. The rows are encoded here, a batch at a time: pyreadstat would need
the whole table in memory and takes several times as long. Its reader proves each file.
"""

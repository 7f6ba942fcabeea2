"""DuckDB: one file for an account, with a schema for each study and a view for each form."""

"""Plain CSV and Parquet files: written by pyarrow, and read back by DuckDB."""

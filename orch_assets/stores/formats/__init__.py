"""Tables as files and back, exactly: Parquet and CSV."""

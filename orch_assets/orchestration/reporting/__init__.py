"""What came of a study, and what of it may be shown: results, causes, logs, progress."""

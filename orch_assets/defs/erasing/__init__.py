"""Erasing a study: the stores of the code location, and what Dagster knows of the study."""

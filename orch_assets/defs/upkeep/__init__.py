"""Upkeep of the stores and of Dagster's records: what is old and no longer needed is removed."""

"""A user's own pipelines."""

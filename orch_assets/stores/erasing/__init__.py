"""Removing everything that the stores hold of a study, and certifying it."""

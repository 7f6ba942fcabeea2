"""A study's data dictionary over time: what changed in it, and what a frozen one applies."""

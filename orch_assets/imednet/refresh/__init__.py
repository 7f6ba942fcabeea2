"""Refreshes: what changed is read, merged with an earlier version, and counted."""

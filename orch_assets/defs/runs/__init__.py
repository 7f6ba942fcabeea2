"""Runs: starting them from a command, what they need, what they carry forward, how they end."""

"""Runs: how a command starts one, what it needs, carries forward, and how it ends."""

"""Runs on several machines, over Celery: starting them, and telling live ones from dead ones."""

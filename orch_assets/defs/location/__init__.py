"""The code location: how it is assembled, its settings, and how commands find it."""

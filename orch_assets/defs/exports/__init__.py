"""Exports as assets, and the stored form tables that exports are made from."""

"""Splits a study's tables into open and withheld parts, by its data dictionary."""

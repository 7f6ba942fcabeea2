"""Sensors that notice what is wrong with studies, and tell it."""

"""Checks of a state machine's definition before it is deployed."""

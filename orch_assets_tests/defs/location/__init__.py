"""Tests of the code location."""

"""What changed between versions of a study's tables."""

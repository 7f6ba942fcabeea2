"""The order of publications: who may publish next, and what was current at a moment."""

"""How the simulated account changes over time: edits, its clock, and a life of its own."""

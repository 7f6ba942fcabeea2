"""Asset checks: did a table arrive whole, and does it hold what is withheld by now."""

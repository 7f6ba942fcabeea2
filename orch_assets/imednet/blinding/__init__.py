"""What is withheld from a study's tables, by its data dictionary."""

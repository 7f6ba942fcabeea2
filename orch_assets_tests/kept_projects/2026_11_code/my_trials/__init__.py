"""Study pipelines over an iMednet account, and their code location."""

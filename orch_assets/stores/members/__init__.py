"""The members of a set or an export, which other tools read where they lie."""

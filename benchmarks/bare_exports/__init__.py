"""The libraries alone, which exports are measured against."""

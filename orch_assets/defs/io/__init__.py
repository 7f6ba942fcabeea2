"""IO managers: store results as artifacts, and load them."""

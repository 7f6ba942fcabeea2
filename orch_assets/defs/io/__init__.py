"""IO managers: artifacts into the stores and out of them."""

"""Work on everything in a store: list, verify, remove old versions, compact manifests."""

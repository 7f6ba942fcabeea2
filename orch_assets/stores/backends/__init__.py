"""Backends, which hold the bytes of a store: local disk, Amazon S3, Google Cloud Storage."""

"""Where a store's bytes are: the local disk, Amazon S3, Google Cloud Storage."""

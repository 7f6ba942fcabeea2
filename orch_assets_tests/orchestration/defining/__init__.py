"""What a pipeline's definition says."""

"""What a pipeline's definition says: its parameters, its studies, and the checks of both."""

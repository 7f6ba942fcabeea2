"""Results and failures of studies, and what of them may be shown: causes, logs, progress."""

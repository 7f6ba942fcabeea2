"""The pipelines: functions marked with ``@study_pipeline``, one file each."""

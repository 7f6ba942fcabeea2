"""The shipped study pipelines: one file each.

A new pipeline is a new file here: a function of ``study_key, sdk, study_logger`` marked with
``@study_pipeline``. A further parameter receives the result of the pipeline of that name.
"""

"""A pipeline of a user's own, on a shipped table."""

from orch_assets import study_pipeline


@study_pipeline
def heights(study_key, sdk, study_logger, subjects):
    """How many subjects there are."""
    return {"subjects": len(subjects)}

"""How many subjects each site has enrolled."""

from orch_assets import study_pipeline


@study_pipeline(group="enrolment")
def enrolled_by_site(study_key, sdk, study_logger, subjects):
    """Enrolled subjects of each site of a study. One row for each site, sorted by its name."""
    enrolled = subjects[subjects["subject_status"] == "Enrolled"]
    study_logger.info("%d subjects are enrolled", len(enrolled))
    return enrolled.groupby("site_name").size().rename("subjects").reset_index()

"""Made-up studies: from a plan to the rows of every endpoint, which are always the same."""

from orch_assets.demo.studies.conduct import make_courses, make_sites
from orch_assets.demo.studies.design import make_design
from orch_assets.demo.studies.oversight import (
    make_codings,
    make_jobs,
    make_queries,
    make_revisions,
)
from orch_assets.demo.studies.people import make_users
from orch_assets.demo.studies.plans import (
    Row,
    StudyPlan,
    plan_studies,
    plan_study,
)
from orch_assets.demo.studies.record_values import make_records

__all__ = ["StudyPlan", "make_study", "plan_studies", "plan_study"]


def make_study(plan: StudyPlan) -> dict[str, list[Row]]:
    """Return a study's rows by the name of their endpoint."""
    design = make_design(plan)
    sites = make_sites(plan)
    users = make_users(plan, len(sites))
    courses = make_courses(plan, design, sites)
    subjects = [course.subject for course in courses]
    records = make_records(plan, design, courses)
    forms, variables = design.rows["forms"], design.rows["variables"]
    return {
        **design.rows,
        "sites": sites,
        "users": users,
        "subjects": subjects,
        "visits": [visit for course in courses for visit in course.visits],
        "records": records,
        "recordRevisions": make_revisions(plan, records, users),
        "codings": make_codings(plan, records, forms, subjects, users),
        "queries": make_queries(plan, records, subjects, variables, users),
        "jobs": make_jobs(plan),
    }

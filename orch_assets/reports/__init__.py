"""Reports about a study, to be passed on. Nothing here knows Dagster."""

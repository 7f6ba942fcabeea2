"""The Dagster shell: everything here wraps something that works without Dagster."""

"""The settings of pipelines: in the launchpad, for single studies, and in a run."""

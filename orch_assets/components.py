"""The component ``StudyPipelines``: a code location whose settings are in YAML.

``dg`` finds it by the entry point in pyproject.toml. Nothing else imports this module.
"""

import importlib
from dataclasses import replace
from types import ModuleType
from typing import Literal

import dagster as dg
from pydantic import Field

from orch_assets.defs.location.location_settings import LocationSettings
from orch_assets.defs.resources import OrchestrationResource, StoreResource
from orch_assets.defs.study_resources import study_resources
from orch_assets.errors import PipelineDefinitionError
from orch_assets.orchestration.selection import StudyFilter

__all__ = ["StudyPipelines"]


class StudyPipelines(dg.Component, dg.Resolvable, dg.Model):
    """Pipelines over every study of an iMednet account, shipped ones and your own.

    An attribute that isn't set is read from the environment, as without the component. API keys
    have no attribute: they are always read from the environment.
    """

    pipelines: str | None = Field(
        default=None,
        description="Package with your own pipelines. Default: only shipped ones.",
        examples=["my_studies.pipelines"],
    )
    shipped: Literal["all"] | list[str] = Field(
        default="all",
        description="Names of the shipped pipelines to include, each with its upstreams. "
        "Default: all.",
        examples=[["subjects", "records"]],
    )
    whitelist: list[str] | None = Field(
        default=None,
        description="Run only these studies. Default: IMEDNET_WHITELIST, else no filter.",
        examples=[["ONC-301"]],
    )
    blacklist: list[str] | None = Field(
        default=None,
        description="Run all studies except these. Default: IMEDNET_BLACKLIST, else no filter.",
        examples=[["CARD-202"]],
    )
    store: str | None = Field(
        default=None,
        description="A folder, `s3://bucket/prefix` or `gs://bucket/prefix`. With it, set "
        "`restricted_store`, too. Default: ORCH_STORE, else `artifacts` in DAGSTER_HOME.",
        examples=["s3://bucket/tables"],
    )
    restricted_store: str | None = Field(
        default=None,
        description="Where withheld values and failure reports go. "
        "Default: ORCH_RESTRICTED_STORE, else `restricted` below ORCH_STORE.",
        examples=["s3://other-bucket/restricted"],
    )
    store_format: Literal["parquet", "csv"] | None = Field(
        default=None,
        description="Format of tables. Default: ORCH_STORE_FORMAT, else `parquet`.",
        examples=["parquet"],
    )
    schedule: str | None = Field(
        default=None,
        description="When all studies run: a cron schedule and, if it isn't UTC, a time zone. "
        "Default: ORCH_SCHEDULE, else not by itself.",
        examples=["0 5 * * * Europe/Berlin"],
    )
    automation: bool | None = Field(
        default=None,
        description="Whether the sensors that start runs are switched on. "
        "Default: ORCH_AUTOMATION, else false.",
        examples=[True],
    )
    studies_per_run: int | None = Field(
        default=None,
        ge=1,
        description="Number of studies in one run. Default: ORCH_STUDIES_PER_RUN, else all.",
        examples=[50],
    )

    exports: list[str] | None = Field(
        default=None,
        description="Formats in which form tables are exported, an asset for each. "
        "Default: ORCH_EXPORTS, else none.",
        examples=[["xpt", "xlsx"]],
    )

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:  # noqa: ARG002 - Dagster's signature
        """Return the code location.

        Raises:
            FilterConflictError: There is both a whitelist and a blacklist.
            PipelineDefinitionError: ``pipelines`` names no package, or ``shipped`` no pipeline.
            SettingError: ``schedule``, or a setting in the environment, can't be read, or there is
                a ``store`` without a ``restricted_store``.
        """
        from orch_assets.defs.location.code_location import build_definitions

        StudyFilter(self.whitelist, self.blacklist)
        return build_definitions(
            _package(self.pipelines) if self.pipelines else (),
            shipped=self.shipped,
            resources=study_resources(
                store=StoreResource(uri=self.store, store_format=self.store_format),
                restricted=StoreResource(
                    uri=self.restricted_store, store_format=self.store_format, restricted=True
                ),
                orchestration=OrchestrationResource(
                    whitelist=self.whitelist, blacklist=self.blacklist
                ),
            ),
            settings=self._settings(),
        )

    def _settings(self) -> LocationSettings:
        given = {
            name: value
            for name in ("schedule", "automation", "studies_per_run", "exports")
            if (value := getattr(self, name)) is not None
        }
        return replace(LocationSettings.from_environment(), **given)


def _package(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if not f"{name}.".startswith(f"{error.name}."):
            raise
        raise PipelineDefinitionError(
            f"The component StudyPipelines has `pipelines: {name}`, but there is no module "
            f"{error.name}. Name a package that this environment can import."
        ) from None

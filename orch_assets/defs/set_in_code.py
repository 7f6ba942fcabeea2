"""Resources whose fields are set in Python and can't be set when a run is launched.

Dagster makes the fields of a resource part of the run configuration. Anyone allowed to launch a run
could then send the account's keys to another address. Dagster also displays and stores the fields,
including defaults, with each job.
"""

from collections.abc import Callable
from typing import Any, Final

import dagster as dg

from orch_assets.defs.dagster_internals import (
    ConfigurableIOManagerFactoryResourceDefinition,
    ConfigurableResourceFactory,
    ConfigurableResourceFactoryResourceDefinition,
    cached_method,
    process_config,
)

# The configuration schema without fields. With None, Dagster would accept any configuration, and
# store it with the run.
NOTHING: Final[dict[str, Any]] = {}

_Definition = (
    ConfigurableResourceFactoryResourceDefinition | ConfigurableIOManagerFactoryResourceDefinition
)


class SetInCode(ConfigurableResourceFactory[Any]):
    """Base class of resources that aren't part of a run's configuration.

    The fields are set in the constructor; a ``dg.EnvVar`` is read when a run begins. To set a field
    for a single run, launch that run from a code location that sets the field.
    """

    @cached_method  # Dagster resolves nested resources by the identity of their definitions
    def get_resource_definition(self) -> Any:
        """Return the definition, without configuration and without the fields' values."""
        definition: _Definition = super().get_resource_definition()
        return type(definition)(
            definition.configurable_resource_cls,
            _with_own_fields(definition),
            NOTHING,
            definition.description,
            definition.nested_resources,
            definition.nested_partial_resources,
        )

    @classmethod
    def configure_at_launch(cls, **kwargs: Any) -> Any:  # noqa: ARG003 - Dagster's signature
        """Raise an error, because no field can be configured at launch.

        Raises:
            DagsterInvalidDefinitionError: Always.
        """
        raise dg.DagsterInvalidDefinitionError(
            f"{cls.__name__} can't be configured when a run is launched: anyone allowed to launch "
            "a run could send keys and data elsewhere. Set its fields in Python."
        )


def _with_own_fields(definition: _Definition) -> Callable[[dg.InitResourceContext], Any]:
    """Return the function that creates a resource from the field values in its definition."""

    def create(context: dg.InitResourceContext) -> Any:
        schema = definition.config_schema
        values = schema.default_value if schema.default_provided else {}
        fields = process_config({"config": schema.config_type}, {"config": values})
        if not fields.success or fields.value is None:
            raise dg.DagsterInvalidConfigError(  # type: ignore[no-untyped-call]  # Dagster's
                f"Fields of {definition.configurable_resource_cls.__name__}", fields.errors, values
            )
        # Dagster's definitions of such resources always take the context.
        resource_fn: Callable[[dg.InitResourceContext], Any] = definition.resource_fn  # type: ignore[assignment]
        return resource_fn(context.replace_config(fields.value["config"]))

    return create

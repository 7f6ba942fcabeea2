"""Resources whose fields are set in Python and can't be set when a run is launched.

Dagster makes a resource's fields run configuration: whoever may launch a run could send the
account's keys to another address. It also shows and stores them, defaults included, with each job.
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

# None would let anything be given, and be stored with the run.
NOTHING: Final[dict[str, Any]] = {}

_Definition = (
    ConfigurableResourceFactoryResourceDefinition | ConfigurableIOManagerFactoryResourceDefinition
)


class SetInCode(ConfigurableResourceFactory[Any]):
    """What a resource inherits from so that a run's configuration has nothing of it.

    Its fields are given to its constructor; a ``dg.EnvVar`` is read when a run begins. To set a
    field for one run, launch that run from a code location that gives the field.
    """

    @cached_method  # Dagster resolves nested resources by the identity of their definitions
    def get_resource_definition(self) -> Any:
        """Return the definition, without configuration and without the fields' values."""
        described: _Definition = super().get_resource_definition()
        return type(described)(
            described.configurable_resource_cls,
            _with_own_fields(described),
            NOTHING,
            described.description,
            described.nested_resources,
            described.nested_partial_resources,
        )

    @classmethod
    def configure_at_launch(cls, **kwargs: Any) -> Any:  # noqa: ARG003 - Dagster's signature
        """Raise: there is nothing to configure at launch.

        Raises:
            DagsterInvalidDefinitionError: always.
        """
        raise dg.DagsterInvalidDefinitionError(
            f"{cls.__name__} can't be configured when a run is launched: whoever may launch a run "
            "could send keys and data elsewhere. Give its fields in Python."
        )


def _with_own_fields(described: _Definition) -> Callable[[dg.InitResourceContext], Any]:
    """Return what makes the resource of the fields that its definition describes."""

    def make(context: dg.InitResourceContext) -> Any:
        schema = described.config_schema
        given = schema.default_value if schema.default_provided else {}
        fields = process_config({"config": schema.config_type}, {"config": given})
        if not fields.success or fields.value is None:
            raise dg.DagsterInvalidConfigError(  # type: ignore[no-untyped-call]  # Dagster's
                f"Fields of {described.configurable_resource_cls.__name__}", fields.errors, given
            )
        # Dagster's definitions of such resources always take the context.
        resource_fn: Callable[[dg.InitResourceContext], Any] = described.resource_fn  # type: ignore[assignment]
        return resource_fn(context.replace_config(fields.value["config"]))

    return make

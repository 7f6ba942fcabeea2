"""A code location without assets: GraphQL over an instance needs one."""

import dagster as dg

defs = dg.Definitions()

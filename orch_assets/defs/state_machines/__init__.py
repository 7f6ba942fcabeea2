"""State machines of AWS Step Functions as Dagster resources and assets."""

"""State machines of AWS Step Functions as resources and assets."""

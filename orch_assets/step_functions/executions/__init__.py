"""Start executions of state machines, follow and redrive them, and read their history."""

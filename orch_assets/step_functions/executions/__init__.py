"""Executions of state machines: started, followed, redriven, read."""

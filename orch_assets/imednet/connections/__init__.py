"""The connections to the registry: bounded, through proxies, quiet in logs."""

"""The connections to the registry: limits, proxies, retries."""

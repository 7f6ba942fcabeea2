"""The connections to the API: limits, proxies, retries."""

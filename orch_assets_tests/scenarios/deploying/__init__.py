"""What `deploy/` has, as a service uses it."""

"""Alerts: what is wrong with an account's studies, told once to a webhook or by e-mail."""

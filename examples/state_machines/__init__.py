"""State machines without an account: ``make demo-aws``.

moto's server on loopback stands for S3, Step Functions and Lambda; the registry is the embedded
one. Everything else is what runs on an account.
"""

"""The subcommand that writes tables as files for other programs."""

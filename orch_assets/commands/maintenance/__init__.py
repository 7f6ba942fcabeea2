"""Subcommands that check, pin or remove what is stored."""

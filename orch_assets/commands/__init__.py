"""Subcommands of ``orch-assets`` other than ``run`` and ``studies``, one file each."""

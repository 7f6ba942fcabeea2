"""Commands of ``orch-assets`` beside ``run`` and ``studies``; one file each."""

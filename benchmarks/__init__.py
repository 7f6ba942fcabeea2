"""Benchmarks of speed and memory, relative to a named peer or a limit measured in the same run.

``python -m benchmarks`` runs all benchmarks, ``python -m benchmarks NAME …`` runs some. A figure is
the median of its repetitions. CPU seconds are those of a process and its children.
"""

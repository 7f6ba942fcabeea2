"""Speed and memory, each against a named peer or a physical limit measured in the same run.

``python -m benchmarks`` runs all, ``python -m benchmarks NAME …`` some. A figure is the median of
its repetitions; CPU seconds count a process and its children.
"""

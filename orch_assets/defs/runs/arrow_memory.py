"""Where Arrow allocates memory in the process of a run."""

import os


def use_the_system_allocator() -> None:
    """Let Arrow allocate by the C library, unless ``ARROW_DEFAULT_MEMORY_POOL`` is set.

    Each study is read and stored on threads of its own. Arrow's own allocator keeps what a thread
    freed for that thread: a run of five studies holds 15 to 40 MB more, for no less CPU.
    """
    import pyarrow as pa

    if not os.environ.get("ARROW_DEFAULT_MEMORY_POOL"):
        pa.set_memory_pool(pa.system_memory_pool())

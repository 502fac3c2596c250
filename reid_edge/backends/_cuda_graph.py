"""CUDA graphs: launches recorded once and replayed.  pycuda has no interface to them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..errors import MissingDependencyError


class CudaGraph:
    """A recorded piece of a stream's work."""

    def __init__(self, executable: Any) -> None:
        self._executable = executable

    def launch(self, stream: int) -> None:
        """Queue it."""
        from cuda.bindings import driver

        from ._cuda_bindings import call

        call(driver.cuGraphLaunch(self._executable, stream))

    def free(self) -> None:
        """Destroy it."""
        from cuda.bindings import driver

        driver.cuGraphExecDestroy(self._executable)


def require() -> None:
    """Ask for cuda-bindings before anything is built on it.

    Raises:
        MissingDependencyError: it is not installed.
    """
    try:
        import cuda.bindings.driver  # noqa: F401
    except ImportError as error:
        raise MissingDependencyError(
            "CUDA graphs need cuda-bindings: pip install cuda-bindings, or leave cuda_graphs off"
        ) from error


def capture(stream: int, work: Callable[[], None]) -> CudaGraph:
    """Record what `work` queues in a stream, without running it.

    Raises:
        BackendError: CUDA refuses, for example because the work synchronises.
    """
    from cuda.bindings import driver

    from ._cuda_bindings import call

    # Other threads may go on allocating: only this thread's forbidden calls end the recording.
    mode = driver.CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL
    call(driver.cuStreamBeginCapture(stream, mode))
    try:
        work()
    except BaseException:
        driver.cuStreamEndCapture(stream)  # leaves the stream usable
        raise
    graph = call(driver.cuStreamEndCapture(stream))
    try:
        return CudaGraph(call(driver.cuGraphInstantiate(graph, 0)))
    finally:
        driver.cuGraphDestroy(graph)

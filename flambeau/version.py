"""What this installation is: version and the accelerators it was built for."""

from flambeau._version import __version__

cuda = None  # no CUDA kernels in this version

__all__ = ["__version__", "cuda"]

"""What this installation is: version and the accelerators it was built for."""

from flambeau._version import __version__

cuda = hip = rocm = xpu = git_version = None  # no CUDA kernels in this version

debug = False

__all__ = ["__version__", "cuda"]

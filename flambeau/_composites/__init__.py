"""Composites: every public tensor function that is a few lines of Python over primitives.

Floor rule: files here import `_primitives` (the core) and each other, nothing else of the package. Importing this
package fills the registry; `install(package, tensor_type)` attaches what is in it.
"""

from . import (  # noqa: F401  imported for what they register
    alignment,
    arithmetic,
    conversions,
    creation,
    diagonals,
    draws,
    einsum,
    in_place_views,
    indexing,
    joining,
    linalg,
    masked,
    matrix,
    normalization,
    polynomials,
    reductions,
    sampling,
    shape,
    special,
    splitting,
    statistics,
    windows,
)
from .registry import FUNCTIONS, METHODS, PROPERTIES, install

__all__ = ["FUNCTIONS", "METHODS", "PROPERTIES", "install"]

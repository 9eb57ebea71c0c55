"""The one door through which composites reach the core.

`P` holds the primitives under PyTorch's names, the dtypes, `Size`, and the few questions that only the core can answer
(promotion, default dtype, whether gradients are recorded). Composites use nothing else, so that autograd, batching and
capture see primitives only.
"""

from .. import _C as P

Tensor = P.Tensor

__all__ = ["P", "Tensor"]

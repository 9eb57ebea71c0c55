"""A classifier over very many classes, most of them rare; and the head of a classifier together with its loss."""

from __future__ import annotations

from collections import namedtuple

import flambeau

from .. import functional as F
from .container import ModuleList, Sequential
from .linear import Linear
from .loss import _WeightedLoss
from .module import Module

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from flambeau import Tensor

__all__ = ["AdaptiveLogSoftmaxWithLoss", "LinearCrossEntropyLoss", "LinearCrossEntropyOptions"]

_ASMoutput = namedtuple("_ASMoutput", ["output", "loss"])


class AdaptiveLogSoftmaxWithLoss(Module):
    """Adaptive softmax (Grave et al. 2016): frequent classes in a short list, rare ones in clusters of smaller size.

    Args:
        in_features: size of the input vectors.
        n_classes: number of classes, ordered from frequent to rare.
        cutoffs: where the short list ends and each cluster begins, rising.
        div_value: by what factor the vectors of each further cluster are smaller.
        head_bias: whether the short list has a bias.

    Calling it with ``(N, in_features)`` and ``(N,)`` gives a named tuple: ``output``, the log-probabilities of the
    targets ``(N,)``, and ``loss``, the mean of their negatives.
    """

    def __init__(
        self,
        in_features: int,
        n_classes: int,
        cutoffs: Sequence[int],
        div_value: float = 4.0,
        head_bias: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        cutoffs = list(cutoffs)
        if len(cutoffs) == 0:
            raise ValueError("cutoffs should be a sequence of length larger than 0")
        if (
            cutoffs != sorted(cutoffs)
            or min(cutoffs) <= 0
            or max(cutoffs) > n_classes - 1
            or len(set(cutoffs)) != len(cutoffs)
            or any(int(cutoff) != cutoff for cutoff in cutoffs)
        ):
            raise ValueError(
                "cutoffs should be a sequence of unique, positive integers sorted in an increasing order, where each "
                "value is between 1 and n_classes-1"
            )
        kind = {"device": device, "dtype": dtype}
        self.in_features = in_features
        self.n_classes = n_classes
        self.cutoffs = cutoffs + [n_classes]
        self.div_value = div_value
        self.head_bias = head_bias
        self.shortlist_size = self.cutoffs[0]
        self.n_clusters = len(self.cutoffs) - 1
        self.head_size = self.shortlist_size + self.n_clusters
        self.head = Linear(in_features, self.head_size, bias=head_bias, **kind)
        self.tail = ModuleList()
        for number in range(self.n_clusters):
            hidden = int(in_features // div_value ** (number + 1))
            size = self.cutoffs[number + 1] - self.cutoffs[number]
            self.tail.append(
                Sequential(Linear(in_features, hidden, bias=False, **kind), Linear(hidden, size, bias=False, **kind))
            )

    def reset_parameters(self) -> None:
        """Draws initial values anew."""
        self.head.reset_parameters()
        for inner, outer in self.tail:
            inner.reset_parameters()
            outer.reset_parameters()

    def forward(self, input_: Tensor, target_: Tensor) -> Any:
        if target_.dim() == 1:
            if input_.shape[0] != target_.shape[0]:
                raise RuntimeError("Input and target should have the same size in the batch dimension.")
            if input_.dim() != 2:
                raise RuntimeError(
                    "1D target tensor expects 2D input tensors, but found inputs with size "
                    f"{input_.size()}"
                )
        elif target_.dim() == 0:
            if input_.dim() != 1:
                raise RuntimeError(
                    "0D target tensor expects 1D input tensors, but found inputs with size "
                    f"{input_.size()}"
                )
        else:
            raise RuntimeError("0D or 1D target tensor expected, multi-target not supported")
        batched = target_.dim() > 0
        input = input_ if batched else input_.unsqueeze(0)
        target = target_ if batched else target_.unsqueeze(0)
        if target.numel() and (int(target.min()) < 0 or int(target.max()) >= self.n_classes):
            raise RuntimeError(
                f"Target values should be in [0, {self.n_classes - 1}], but values in range "
                f"[{int(target.min())}, {int(target.max())}] were found. "
            )
        head_target = target
        output = flambeau.zeros(target.shape[0], dtype=input.dtype, device=input.device)
        for number in range(self.n_clusters):
            low, high = self.cutoffs[number], self.cutoffs[number + 1]
            rows = ((target >= low) & (target < high)).nonzero().reshape(-1)
            if rows.numel() == 0:
                continue
            scores = self.tail[number](input.index_select(0, rows))
            inside = target.index_select(0, rows) - low
            picked = F.log_softmax(scores, dim=1).gather(1, inside.unsqueeze(1)).squeeze(1)
            output = output.index_copy(0, rows, picked.to(output.dtype))
            head_target = head_target.index_fill(0, rows, self.shortlist_size + number)
        head = F.log_softmax(self.head(input), dim=1)
        output = output + head.gather(1, head_target.unsqueeze(1)).squeeze(1)
        loss = (-output).mean()
        return _ASMoutput(output if batched else output.squeeze(0), loss)

    def _get_full_log_prob(self, input: Tensor, head_output: Tensor) -> Tensor:
        """The log-probabilities of all classes, given the scores of the head."""
        head = F.log_softmax(head_output, dim=1)
        parts = [head[:, : self.shortlist_size]]
        for number, cluster in enumerate(self.tail):
            own = F.log_softmax(cluster(input), dim=1)
            parts.append(own + head[:, self.shortlist_size + number].unsqueeze(1))
        return flambeau.cat(parts, 1)

    def log_prob(self, input: Tensor) -> Tensor:
        """The log-probabilities of all classes, ``(N, n_classes)``."""
        return self._get_full_log_prob(input, self.head(input))

    def predict(self, input: Tensor) -> Tensor:
        """The most probable class of each row, without computing clusters that cannot hold it."""
        head = self.head(input)
        best = flambeau.argmax(head, dim=1)
        rare = best >= self.shortlist_size
        if not bool(rare.any()):
            return best
        rows = rare.nonzero().reshape(-1)
        full = self._get_full_log_prob(input.index_select(0, rows), head.index_select(0, rows))
        return best.index_copy(0, rows, flambeau.argmax(full, dim=1))


class LinearCrossEntropyOptions:
    """How ``LinearCrossEntropyLoss`` may trade memory for time in PyTorch; checked and kept, without effect here."""

    __slots__ = ("acc_dtype", "acc_policy", "allow_retain_graph", "batch_chunk_size", "chunking_method")

    def __init__(
        self,
        allow_retain_graph: bool = False,
        batch_chunk_size: int | None = None,
        chunking_method: str | None = "auto",
        acc_policy: str = "auto",
        acc_dtype: Any = None,
    ) -> None:
        if batch_chunk_size is not None and (not isinstance(batch_chunk_size, int) or batch_chunk_size <= 0):
            raise ValueError(f"batch_chunk_size must be positive int or None, got {batch_chunk_size}")
        if chunking_method is not None and not isinstance(chunking_method, str):
            raise ValueError(f"invalid chunking_method: {chunking_method!r}")
        if acc_policy not in ("accurate", "balanced", "compact", "auto"):
            raise ValueError(f"invalid acc_policy: {acc_policy!r}")
        floats = (None, flambeau.float16, flambeau.bfloat16, flambeau.float32, flambeau.float64)
        if acc_dtype not in floats:
            raise ValueError(
                f"acc_dtype must be one of {floats}, got {acc_dtype}. Pass acc_dtype=None to let the op pick "
                "automatically."
            )
        self.allow_retain_graph = allow_retain_graph
        self.batch_chunk_size = batch_chunk_size
        self.chunking_method = chunking_method
        self.acc_policy = acc_policy
        self.acc_dtype = acc_dtype

    def _settings(self) -> tuple[Any, ...]:
        return (
            self.allow_retain_graph, self.batch_chunk_size, self.chunking_method, self.acc_policy, self.acc_dtype
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LinearCrossEntropyOptions) and self._settings() == other._settings()

    def __hash__(self) -> int:
        return hash(self._settings())

    def __reduce__(self) -> tuple[Any, ...]:
        return LinearCrossEntropyOptions, self._settings()

    def __repr__(self) -> str:
        return (
            f"LinearCrossEntropyOptions(allow_retain_graph={self.allow_retain_graph}, "
            f"batch_chunk_size={self.batch_chunk_size}, chunking_method={self.chunking_method!r}, "
            f"acc_policy={self.acc_policy!r}, acc_dtype={self.acc_dtype})"
        )


class LinearCrossEntropyLoss(_WeightedLoss):
    """A linear layer followed by cross entropy, as one loss with parameters.

    Args:
        in_features: size of the input vectors.
        num_classes: number of classes.
        out_features: further dimensions of the target.
        bias: whether the linear map has a bias.
        reduction, weight, ignore_index, label_smoothing: those of ``CrossEntropyLoss``.
        options: accepted for PyTorch's sake; there is one way to compute it.
    """

    __constants__ = ["num_classes", "out_features", "reduction", "ignore_index", "label_smoothing"]

    def __init__(
        self,
        in_features: int,
        num_classes: int,
        *,
        out_features: tuple[int, ...] = (),
        bias: bool = False,
        device: Any = None,
        dtype: Any = None,
        reduction: str = "mean",
        weight: Tensor | None = None,
        ignore_index: int | None = None,
        label_smoothing: float = 0.0,
        options: Any = None,
    ) -> None:
        super().__init__(weight, None, None, reduction)
        if weight is not None and tuple(weight.shape) != (num_classes,):
            raise RuntimeError(f"expected weight shape to be {(num_classes,)}, got {tuple(weight.shape)}")
        if not 0.0 <= label_smoothing <= 1.0:
            raise RuntimeError(f"expected label_smoothing to be in range [0, 1], got {label_smoothing}")
        outputs = num_classes
        for extent in out_features:
            outputs *= extent
        self.num_classes = num_classes
        self.out_features = tuple(out_features)
        self.ignore_index = ignore_index
        self.label_smoothing = label_smoothing
        self.options = options
        self.linear = Linear(in_features, outputs, bias=bias, device=device, dtype=dtype)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        scores = self.linear(input)
        if self.out_features:
            scores = scores.reshape(*scores.shape[:-1], self.num_classes, *self.out_features)
        return F.cross_entropy(
            scores, target, weight=self.weight, reduction=self.reduction, label_smoothing=self.label_smoothing,
            ignore_index=-100 if self.ignore_index is None else self.ignore_index,
        )

    def extra_repr(self) -> str:
        return (
            f"in_features={self.linear.in_features}, num_classes={self.num_classes}, out_features={self.out_features}, "
            f"bias={self.linear.bias is not None}, reduction={self.reduction}, ignore_index={self.ignore_index}, "
            f"label_smoothing={self.label_smoothing}, options={self.options}"
        )

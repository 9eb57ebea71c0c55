"""Attention with several heads, as one function of all its weights."""

from __future__ import annotations

import flambeau
from flambeau import _C

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from flambeau import Tensor

__all__ = ["multi_head_attention_forward"]


def _check_shapes(
    query: Tensor, key: Tensor, value: Tensor, key_padding_mask: Tensor | None, attn_mask: Tensor | None, heads: int
) -> bool:
    """Whether the query comes in a batch."""
    if query.dim() not in (2, 3):
        raise AssertionError(
            f"query should be unbatched 2D or batched 3D tensor but received {query.dim()}-D query "
            "tensor"
        )
    batched = query.dim() == 3
    kind, dims = ("batched 3-D", 3) if batched else ("unbatched 2-D", 2)
    if key.dim() != dims or value.dim() != dims:
        raise AssertionError(
            f"For {kind} `query`, expected `key` and `value` to be {dims}-D but found {key.dim()}-D and "
            f"{value.dim()}-D "
            "tensors respectively"
        )
    if key_padding_mask is not None and key_padding_mask.dim() != dims - 1:
        raise AssertionError(
            f"For {kind} `query`, expected `key_padding_mask` to be `None` or {dims - 1}-D but found "
            f"{key_padding_mask.dim()}-D tensor instead"
        )
    if attn_mask is not None:
        if attn_mask.dim() not in (2, 3):
            raise AssertionError(
                f"For {kind} `query`, expected `attn_mask` to be `None`, 2-D or 3-D but found {attn_mask.dim()}-D "
                "tensor "
                "instead"
            )
        if not batched and attn_mask.dim() == 3:
            expected = (heads, query.shape[0], key.shape[0])
            if tuple(attn_mask.shape) != expected:
                raise AssertionError(f"Expected `attn_mask` shape to be {expected} but got {tuple(attn_mask.shape)}")
    return batched


def _as_addend(
    mask: Tensor | None, name: str, dtype: Any, other: Any = None, other_name: str = "", check: bool = True
) -> Any:
    """A mask as numbers to add: minus infinity where a boolean mask is true."""
    if mask is None:
        return None
    if mask.dtype != flambeau.bool and not mask.is_floating_point():
        raise AssertionError(f"only bool and floating types of {name} are supported")
    if check and other is not None and mask.dtype != other:
        import warnings

        warnings.warn(
            f"Support for mismatched {name} and {other_name} is deprecated. Use same type for both instead.",
            stacklevel=4,
        )
    if mask.is_floating_point():
        return mask
    return flambeau.zeros_like(mask, dtype=dtype).masked_fill_(mask, float("-inf"))


def _project_packed(q: Tensor, k: Tensor, v: Tensor, weight: Tensor, bias: Tensor | None) -> list[Tensor]:
    """The three projections that share one weight ``(3 * E, E)``, in as few products as the inputs allow."""
    linear = _C._nn.linear
    size = q.shape[-1]
    if k is v:
        if q is k:
            joint = linear(q, weight, bias)
            return [joint[..., :size], joint[..., size:2 * size], joint[..., 2 * size:]]
        own, rest = weight[:size], weight[size:]
        joint = linear(k, rest, None if bias is None else bias[size:])
        return [linear(q, own, None if bias is None else bias[:size]), joint[..., :size], joint[..., size:]]
    parts = []
    for number, each in enumerate((q, k, v)):
        part = slice(number * size, (number + 1) * size)
        parts.append(linear(each, weight[part], None if bias is None else bias[part]))
    return parts


def multi_head_attention_forward(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    embed_dim_to_check: int,
    num_heads: int,
    in_proj_weight: Tensor | None,
    in_proj_bias: Tensor | None,
    bias_k: Tensor | None,
    bias_v: Tensor | None,
    add_zero_attn: bool,
    dropout_p: float,
    out_proj_weight: Tensor,
    out_proj_bias: Tensor | None,
    training: bool = True,
    key_padding_mask: Tensor | None = None,
    need_weights: bool = True,
    attn_mask: Tensor | None = None,
    use_separate_proj_weight: bool = False,
    q_proj_weight: Tensor | None = None,
    k_proj_weight: Tensor | None = None,
    v_proj_weight: Tensor | None = None,
    static_k: Tensor | None = None,
    static_v: Tensor | None = None,
    average_attn_weights: bool = True,
    is_causal: bool = False,
) -> tuple[Tensor, Tensor | None]:
    """Attention with several heads (Vaswani et al. 2017); ``nn.MultiheadAttention`` is the module.

    Shapes, with target length L, source length S, batch N, embedding E: query ``(L, N, E)``, key and value
    ``(S, N, E)``; ``key_padding_mask`` ``(N, S)``; ``attn_mask`` ``(L, S)`` or ``(N * num_heads, L, S)``. All also
    without N. Boolean masks are true where there is nothing to attend to.

    Returns the output ``(L, N, E)`` and, with ``need_weights``, the weights ``(N, L, S)``, or ``(N, num_heads, L, S)``
    without ``average_attn_weights``.
    """
    batched = _check_shapes(query, key, value, key_padding_mask, attn_mask, num_heads)
    if not batched:
        same_kv, same_qk = key is value, query is key
        query = query.unsqueeze(1)
        key = query if same_qk else key.unsqueeze(1)
        value = key if same_kv else value.unsqueeze(1)
        if key_padding_mask is not None:
            key_padding_mask = key_padding_mask.unsqueeze(0)
    targets, batch, embed = query.shape
    sources = key.shape[0]
    key_padding_mask = _as_addend(
        key_padding_mask, "key_padding_mask", query.dtype, None if attn_mask is None else attn_mask.dtype, "attn_mask"
    )
    if is_causal and attn_mask is None:
        raise RuntimeError("Need attn_mask if specifying the is_causal hint.")
    if is_causal and key_padding_mask is None and not need_weights:
        attn_mask = None  # the kernel masks by itself
    else:
        attn_mask = _as_addend(attn_mask, "attn_mask", query.dtype, check=False)
        if key_padding_mask is not None:
            is_causal = False  # the two masks are merged
    if embed != embed_dim_to_check:
        raise AssertionError(f"was expecting embedding dimension of {embed_dim_to_check}, but got {embed}")
    head = embed // num_heads
    if head * num_heads != embed:
        raise AssertionError(f"embed_dim {embed} not divisible by num_heads {num_heads}")
    if use_separate_proj_weight:
        if key.shape[:2] != value.shape[:2]:
            raise AssertionError(
                f"key's sequence and batch dims {key.shape[:2]} do not match value's {value.shape[:2]}"
            )
        for name, given in (("q", q_proj_weight), ("k", k_proj_weight), ("v", v_proj_weight)):
            if given is None:
                raise AssertionError(f"use_separate_proj_weight is True but {name}_proj_weight is None")
        biases = (None, None, None) if in_proj_bias is None else in_proj_bias.chunk(3)
        q = _C._nn.linear(query, q_proj_weight, biases[0])
        k = _C._nn.linear(key, k_proj_weight, biases[1])
        v = _C._nn.linear(value, v_proj_weight, biases[2])
    else:
        if key.shape != value.shape:
            raise AssertionError(f"key shape {key.shape} does not match value shape {value.shape}")
        if in_proj_weight is None:
            raise AssertionError("use_separate_proj_weight is False but in_proj_weight is None")
        q, k, v = _project_packed(query, key, value, in_proj_weight, in_proj_bias)
    if attn_mask is not None:
        if attn_mask.dim() == 2:
            expected = (targets, sources)
            if tuple(attn_mask.shape) != expected:
                raise RuntimeError(
                    f"The shape of the 2D attn_mask is {attn_mask.shape}, but should be {expected}."
                )
            attn_mask = attn_mask.unsqueeze(0)
        else:
            expected3 = (batch * num_heads, targets, sources)
            if tuple(attn_mask.shape) != expected3:
                raise RuntimeError(
                    f"The shape of the 3D attn_mask is {attn_mask.shape}, but should be {expected3}."
                )
    if bias_k is not None and bias_v is not None:
        if static_k is not None or static_v is not None:
            raise AssertionError("bias cannot be added to static key or value.")
        k = flambeau.cat([k, bias_k.repeat(1, batch, 1)])
        v = flambeau.cat([v, bias_v.repeat(1, batch, 1)])
        attn_mask, key_padding_mask = _one_wider(attn_mask), _one_wider(key_padding_mask)
    elif bias_k is not None or bias_v is not None:
        raise AssertionError("bias_k and bias_v have to be given together")
    q = q.reshape(targets, batch * num_heads, head).transpose(0, 1)
    k = _heads(k, static_k, "static_k", batch, num_heads, head)
    v = _heads(v, static_v, "static_v", batch, num_heads, head)
    if add_zero_attn:
        zeros = flambeau.zeros(batch * num_heads, 1, head, dtype=k.dtype, device=k.device)
        k, v = flambeau.cat([k, zeros], 1), flambeau.cat([v, zeros], 1)
        attn_mask, key_padding_mask = _one_wider(attn_mask), _one_wider(key_padding_mask)
    sources = k.shape[1]
    if key_padding_mask is not None:
        if tuple(key_padding_mask.shape) != (batch, sources):
            raise AssertionError(
                f"expecting key_padding_mask shape of {(batch, sources)}, but got {key_padding_mask.shape}"
            )
        per_head = key_padding_mask.reshape(batch, 1, 1, sources).expand(-1, num_heads, -1, -1)
        per_head = per_head.reshape(batch * num_heads, 1, sources)
        attn_mask = per_head if attn_mask is None else attn_mask + per_head
    if not training:
        dropout_p = 0.0
    if need_weights:
        scores = flambeau.bmm(q * head ** -0.5, k.transpose(-2, -1))
        if attn_mask is not None:
            scores = scores + attn_mask
        weights = flambeau.softmax(scores, -1)
        if dropout_p > 0.0:
            weights = flambeau.dropout(weights, dropout_p, True)
        mixed = flambeau.bmm(weights, v).transpose(0, 1).reshape(targets * batch, embed)
    else:
        weights = None
        if attn_mask is not None:
            if attn_mask.shape[0] == 1:
                attn_mask = attn_mask.unsqueeze(0)
            else:
                attn_mask = attn_mask.reshape(batch, num_heads, -1, sources)
        mixed = _C._nn.scaled_dot_product_attention(
            q.reshape(batch, num_heads, targets, head), k.reshape(batch, num_heads, sources, head),
            v.reshape(batch, num_heads, sources, head), attn_mask, dropout_p, is_causal,
        )
        mixed = mixed.permute(2, 0, 1, 3).reshape(targets * batch, embed)
    output = _C._nn.linear(mixed, out_proj_weight, out_proj_bias)
    output = output.reshape(targets, batch, output.shape[1])
    if weights is not None:
        weights = weights.reshape(batch, num_heads, targets, sources)
        if average_attn_weights:
            weights = weights.mean(1)
        if not batched:
            weights = weights.squeeze(0)
    return (output if batched else output.squeeze(1)), weights


def _one_wider(mask: Tensor | None) -> Tensor | None:
    return None if mask is None else flambeau.constant_pad_nd(mask, (0, 1), 0.0)


def _heads(own: Tensor, static: Tensor | None, name: str, batch: int, heads: int, head: int) -> Tensor:
    """``(S, N, E)`` as ``(N * heads, S, E / heads)``, or what the caller computed before."""
    if static is None:
        return own.reshape(own.shape[0], batch * heads, head).transpose(0, 1)
    if static.shape[0] != batch * heads:
        raise AssertionError(f"expecting {name}.size(0) of {batch * heads}, but got {static.shape[0]}")
    if static.shape[2] != head:
        raise AssertionError(f"expecting {name}.size(2) of {head}, but got {static.shape[2]}")
    return static

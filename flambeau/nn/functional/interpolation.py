"""Resizing, and sampling an image at places given by a grid."""

from __future__ import annotations

import math

import flambeau
from flambeau import _C

from .pooling import adaptive_avg_pool2d, adaptive_avg_pool3d

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from flambeau import Tensor

__all__ = ["affine_grid", "grid_sample", "interpolate", "upsample", "upsample_bilinear", "upsample_nearest"]

_KERNELS = {  # mode, spatial dimensions -> primitive, takes align_corners
    ("nearest", 1): ("upsample_nearest1d", False),
    ("nearest", 2): ("upsample_nearest2d", False),
    ("nearest", 3): ("upsample_nearest3d", False),
    ("nearest-exact", 1): ("_upsample_nearest_exact1d", False),
    ("nearest-exact", 2): ("_upsample_nearest_exact2d", False),
    ("nearest-exact", 3): ("_upsample_nearest_exact3d", False),
    ("linear", 1): ("upsample_linear1d", True),
    ("bilinear", 2): ("upsample_bilinear2d", True),
    ("trilinear", 3): ("upsample_trilinear3d", True),
    ("bicubic", 2): ("upsample_bicubic2d", True),
}
_ANTIALIASED = {"bilinear": "_upsample_bilinear2d_aa", "bicubic": "_upsample_bicubic2d_aa"}
_ALIGNABLE = ("linear", "bilinear", "bicubic", "trilinear")


def interpolate(
    input: Tensor,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Tensor:
    """Resizes the spatial dimensions of ``(N, C, ...)`` to ``size``, or by ``scale_factor``.

    Args:
        mode: "nearest", "nearest-exact", "linear" (1 spatial dimension), "bilinear" and "bicubic" (2), "trilinear" (3),
            "area".
        align_corners: whether the corner elements keep their values (for the linear and cubic modes).
        recompute_scale_factor: compute the factor anew from the rounded size.
        antialias: widen the filter when making images smaller ("bilinear" and "bicubic").

    Raises:
        ValueError: for sizes, factors and modes that do not fit the input.
        NotImplementedError: for a mode that is unknown for this number of dimensions.
    """
    if mode in ("nearest", "area", "nearest-exact"):
        if align_corners is not None:
            raise ValueError(
                "align_corners option can only be set with the interpolating modes: linear | bilinear | bicubic | "
                "trilinear"
            )
    elif align_corners is None:
        align_corners = False
    count = input.dim() - 2
    if size is not None and scale_factor is not None:
        raise ValueError("only one of size or scale_factor should be defined")
    scales: list[float] | None = None
    if size is not None:
        if isinstance(size, (list, tuple)):
            if len(size) != count:
                raise ValueError(
                    "Input and output must have the same number of spatial dimensions, but got input with spatial "
                    f"dimensions of {list(input.shape[2:])} and output size of {size}. Please provide input tensor in "
                    "(N, C, d1, d2, ...,dK) format and output size in (o1, o2, ...,oK) format."
                )
            for extent in size:
                if not isinstance(extent, int) and not hasattr(extent, "__index__"):
                    raise TypeError(
                        f"expected size to be one of int or Tuple[int] or Tuple[int, int] or Tuple[int, int, int], but "
                        f"got size with types {[type(each) for each in size]}"
                    )
            outputs = [int(extent) for extent in size]
        else:
            outputs = [int(size)] * count
    elif scale_factor is not None:
        if isinstance(scale_factor, (list, tuple)):
            if len(scale_factor) != count:
                raise ValueError(
                    "Input and scale_factor must have the same number of spatial dimensions, but got input with "
                    f"spatial dimensions of {list(input.shape[2:])} and scale_factor of shape {scale_factor}. Please "
                    "provide input tensor in (N, C, d1, d2, ...,dK) format and scale_factor in (s1, s2, ...,sK) format."
                )
            scales = [float(factor) for factor in scale_factor]
        else:
            scales = [float(scale_factor)] * count
        outputs = [math.floor(extent * factor) for extent, factor in zip(input.shape[2:], scales)]
        if recompute_scale_factor:
            scales = None
    else:
        raise ValueError("either size or scale_factor should be defined")
    if recompute_scale_factor and size is not None:
        raise ValueError("recompute_scale_factor is not meaningful with an explicit size.")
    if antialias and not (mode in _ANTIALIASED and input.dim() == 4):
        raise ValueError(
            "Anti-alias option is restricted to bilinear and bicubic modes and requires a 4-D tensor as "
            "input"
        )
    if mode == "area" and count in (1, 2, 3):
        if count == 1:
            return flambeau.adaptive_avg_pool1d(input, outputs)
        return (adaptive_avg_pool2d if count == 2 else adaptive_avg_pool3d)(input, outputs)
    if (mode, count) in _KERNELS:
        name, aligned = _KERNELS[mode, count]
        if antialias:
            name = _ANTIALIASED[mode]
        kernel = getattr(_C._nn, name)
        size_or_none = outputs if scales is None else None  # the kernel takes one of the two, and rounds alike
        if aligned:
            return kernel(input, size_or_none, align_corners, scales)
        return kernel(input, size_or_none, scales)
    if count in (1, 2, 3) and mode in ("linear", "bilinear", "trilinear"):
        wanted = {"linear": "3D", "bilinear": "4D", "trilinear": "5D"}[mode]
        raise NotImplementedError(f"Got {input.dim()}D input, but {mode} mode needs {wanted} input")
    raise NotImplementedError(
        "Input Error: Only 3D, 4D and 5D input Tensors supported (got "
        f"{input.dim()}D) for the modes: nearest | linear | bilinear | bicubic | trilinear | area | nearest-exact "
        f"(got {mode})"
    )


def upsample(
    input: Tensor, size: Any = None, scale_factor: Any = None, mode: str = "nearest", align_corners: bool | None = None
) -> Tensor:
    """The older name of ``interpolate``."""
    _warn_of_upsample("upsample", "interpolate")
    return interpolate(input, size, scale_factor, mode, align_corners)


def upsample_nearest(input: Tensor, size: Any = None, scale_factor: Any = None) -> Tensor:
    """The older name of ``interpolate`` with mode "nearest"."""
    _warn_of_upsample("upsample_nearest", "interpolate")
    return interpolate(input, size, scale_factor, "nearest")


def upsample_bilinear(input: Tensor, size: Any = None, scale_factor: Any = None) -> Tensor:
    """The older name of ``interpolate`` with mode "bilinear" and ``align_corners``."""
    _warn_of_upsample("upsample_bilinear", "interpolate")
    return interpolate(input, size, scale_factor, "bilinear", align_corners=True)


def _warn_of_upsample(old: str, new: str) -> None:
    import warnings

    warnings.warn(f"`nn.functional.{old}` is deprecated. Use `nn.functional.{new}` instead.", stacklevel=3)


def affine_grid(theta: Tensor, size: Any, align_corners: bool | None = None) -> Tensor:
    """The places, in coordinates from -1 to 1, that affine maps send the elements of an image to.

    Shapes: ``theta`` ``(N, 2, 3)`` with size ``(N, C, H, W)`` gives ``(N, H, W, 2)``; ``(N, 3, 4)`` with
    ``(N, C, D, H, W)`` gives ``(N, D, H, W, 3)``.
    """
    if align_corners is None:
        import warnings

        warnings.warn(
            "Default grid_sample and affine_grid behavior has changed to align_corners=False. Please specify "
            "align_corners=True if the old behavior is desired.", stacklevel=2,
        )
        align_corners = False
    if not theta.is_floating_point():
        raise ValueError(f"Expected theta to have floating point type, but got {theta.dtype}")
    count = len(size) - 2
    if count not in (2, 3):
        raise NotImplementedError(
            "affine_grid only supports 4D and 5D sizes, for 2D and 3D affine transforms, respectively. Got size "
            f"{size}."
        )
    if theta.dim() != 3 or tuple(theta.shape[-2:]) != (count, count + 1):
        raise ValueError(
            f"Expected a batch of {count}D affine matrices of shape Nx{count}x{count + 1} for size {size}. "
            f"Got {theta.shape}."
        )
    if min(size) <= 0:
        raise ValueError(f"Expected non-zero, positive output size. Got {size}")
    batch, space = size[0], list(size[2:])
    kind = {"dtype": theta.dtype, "device": theta.device}
    axes = []
    for dim in reversed(range(count)):  # x first
        extent = space[dim]
        line = flambeau.linspace(-1, 1, extent, **kind) if extent > 1 else flambeau.zeros(1, **kind)
        if not align_corners:
            line = line * ((extent - 1) / extent)
        shape = [1] * count
        shape[dim] = extent
        axes.append(line.reshape(shape).expand(space))
    axes.append(flambeau.ones(space, **kind))
    base = flambeau.stack(axes, -1).reshape(1, -1, count + 1).expand(batch, -1, -1)
    return flambeau.bmm(base, theta.transpose(1, 2)).reshape(batch, *space, count)


def grid_sample(
    input: Tensor, grid: Tensor, mode: str = "bilinear", padding_mode: str = "zeros", align_corners: bool | None = None
) -> Tensor:
    """Values of an image at the places of a grid, whose coordinates run from -1 to 1 (x first).

    Args:
        input: ``(N, C, H, W)`` or ``(N, C, D, H, W)``.
        grid: ``(N, H', W', 2)`` or ``(N, D', H', W', 3)``.
        mode: "bilinear" (also for volumes), "nearest", or "bicubic" (images only).
        padding_mode: what lies outside: "zeros", "border" or "reflection".
        align_corners: whether -1 and 1 mean the centres of the outermost elements, or their outer edges.
    """
    if mode not in ("bilinear", "nearest", "bicubic"):
        raise ValueError(
            f"nn.functional.grid_sample(): expected mode to be 'bilinear', 'nearest' or 'bicubic', but got: '{mode}'"
        )
    if padding_mode not in ("zeros", "border", "reflection"):
        raise ValueError(
            "nn.functional.grid_sample(): expected padding_mode to be 'zeros', 'border', or 'reflection', but got: "
            f"'{padding_mode}'"
        )
    if align_corners is None:
        import warnings

        warnings.warn(
            "Default grid_sample and affine_grid behavior has changed to align_corners=False. Please specify "
            "align_corners=True if the old behavior is desired.", stacklevel=2,
        )
        align_corners = False
    count = input.dim() - 2
    if count not in (2, 3) or grid.dim() != input.dim():
        raise RuntimeError(
            "grid_sampler(): expected 4D or 5D input and grid with same number of dimensions, but got input with sizes "
            f"{list(input.shape)} and grid with sizes {list(grid.shape)}"
        )
    if input.shape[0] != grid.shape[0]:
        raise RuntimeError(
            "grid_sampler(): expected grid and input to have same batch size, but got input with sizes "
            f"{list(input.shape)} and grid with sizes {list(grid.shape)}"
        )
    if grid.shape[-1] != count:
        raise RuntimeError(
            f"grid_sampler(): expected grid to have size {count} in last dimension, but got grid with sizes "
            f"{list(grid.shape)}"
        )
    if mode == "bicubic" and count == 3:
        raise RuntimeError("grid_sampler(): bicubic interpolation only supports 4D input")
    return _sample(input, grid, mode, padding_mode, align_corners)


def _sample(input: Tensor, grid: Tensor, mode: str, padding_mode: str, align_corners: bool) -> Tensor:
    """One gather for each neighbour, weighted by the product of the weights of its dimensions."""
    space = list(input.shape[2:])
    count = len(space)
    neighbours = []  # per dimension: pairs of place and weight
    for dim, extent in enumerate(space):
        place = grid[..., count - 1 - dim]
        place = (place + 1) / 2 * (extent - 1) if align_corners else ((place + 1) * extent - 1) / 2
        if mode != "bicubic":
            place = _inside(place, extent, padding_mode, align_corners)
        if mode == "nearest":
            neighbours.append([(flambeau.round(place), None)])
            continue
        low = flambeau.floor(place.detach())
        part = place - low
        if mode == "bilinear":
            neighbours.append([(low, 1 - part), (low + 1, part)])
        else:
            weights = _cubic(part)
            neighbours.append([
                (_inside(low + step, extent, padding_mode, align_corners), weight)
                for step, weight in zip((-1, 0, 1, 2), weights)
            ])
    batch, channels = input.shape[:2]
    planes = input.reshape(batch, channels, -1)
    shape = list(grid.shape[1:-1])
    total: Any = None
    combinations: list[list[Any]] = [[]]
    for choices in neighbours:
        combinations = [chosen + [choice] for chosen in combinations for choice in choices]
    for chosen in combinations:
        flat: Any = None
        valid: Any = None
        weight: Any = None
        for (place, factor), extent in zip(chosen, space):
            within = (place >= 0) & (place <= extent - 1)
            valid = within if valid is None else valid & within
            index = place.detach().clamp(0, extent - 1).to(flambeau.int64)
            flat = index if flat is None else flat * extent + index
            if factor is not None:
                weight = factor if weight is None else weight * factor
        index = flat.reshape(batch, 1, -1).expand(-1, channels, -1)
        value = planes.gather(2, index).reshape([batch, channels] + shape)
        # what lies outside is zero; for the other padding modes everything lies inside but a neighbour of weight zero
        value = flambeau.where(valid.unsqueeze(1), value, flambeau.zeros((), dtype=input.dtype, device=input.device))
        if weight is not None:
            value = value * weight.unsqueeze(1)
        total = value if total is None else total + value
    return total


def _inside(place: Tensor, extent: int, padding_mode: str, align_corners: bool) -> Tensor:
    """Moves places outside of the image to where the padding mode finds their values."""
    if padding_mode == "zeros":
        return place
    if padding_mode == "reflection":
        low, high = (0.0, extent - 1.0) if align_corners else (-0.5, extent - 0.5)
        span = high - low
        if span <= 0:
            place = flambeau.zeros_like(place)
        else:
            place = flambeau.remainder(place - low, 2 * span)
            place = flambeau.where(place > span, 2 * span - place, place) + low
    return place.clamp(0, extent - 1)


def _cubic(part: Tensor, a: float = -0.75) -> list[Tensor]:
    """The four weights of cubic convolution (Keys 1981)."""
    def near(x: Tensor) -> Tensor:
        return ((a + 2) * x - (a + 3)) * x * x + 1

    def far(x: Tensor) -> Tensor:
        return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a

    return [far(part + 1), near(part), near(1 - part), far(2 - part)]

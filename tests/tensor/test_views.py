"""Views, in-place changes, version counters, and what autograd makes of both."""

import gc
import weakref

import numpy as np
import pytest

import flambeau as torch

VIEWS = {
    "slice": lambda x: x[1:3],
    "step": lambda x: x[::2],
    "select": lambda x: x[1],
    "transpose": lambda x: x.t(),
    "reshape": lambda x: x.reshape(2, 6),
    "view": lambda x: x.view(-1),
    "expand": lambda x: x[:, :1].expand(4, 5),
    "narrow": lambda x: x.narrow(1, 1, 2),
    "diagonal": lambda x: x.diagonal(1),
    "unsqueeze": lambda x: x.unsqueeze(0),
    "permute": lambda x: x.permute(1, 0),
    "unfold": lambda x: x.unfold(0, 2, 2),
    "as_strided": lambda x: x.as_strided((2, 2), (4, 1), 1),
    "split": lambda x: x.split(2)[1],
    "chunk": lambda x: x.chunk(2, 1)[0],
    "detach": lambda x: x.detach(),
    "flatten": lambda x: x.flatten(),
    "swapaxes": lambda x: x.swapaxes(0, 1),
    "movedim": lambda x: x.movedim(0, 1),
    "unbind": lambda x: x.unbind(1)[2],
}


def base():
    return torch.arange(12.0).reshape(4, 3).clone()


def wide():
    return torch.arange(16.0).reshape(4, 4).clone()


@pytest.mark.parametrize("name", VIEWS)
def test_views_share_memory_and_version(name):
    x = wide() if name in ("as_strided", "diagonal") else base()
    v = VIEWS[name](x)
    assert v.untyped_storage().data_ptr() == x.untyped_storage().data_ptr()
    before = x._version
    if name == "expand":
        with pytest.raises(RuntimeError, match="more than one element of the written-to tensor refers to a single memory location"):
            v.add_(1)
        return
    v.add_(100)
    assert (x >= 100).sum() == v.numel()
    assert x._version == v._version == before + 1


@pytest.mark.parametrize("name", [n for n in VIEWS if n not in ("expand", "detach", "unbind", "split", "chunk")])
def test_change_through_a_view_reaches_gradients(name):
    """y = 2x, then one view of y is tripled: elements inside it have slope 6, others 2; reading through the view too."""
    leaf = (wide() if name in ("as_strided", "diagonal") else base()).requires_grad_()
    y = leaf * 2
    v = VIEWS[name](y)
    v.mul_(3)
    inside = torch.zeros_like(leaf).detach()
    VIEWS[name](inside).fill_(1)
    (y.sum() + v.sum()).backward()
    assert torch.equal(leaf.grad, inside * 12 + (1 - inside) * 2)


def test_second_derivative_of_a_view_beyond_its_input():
    """as_strided shows the storage, also where the input has no element: nothing flows from there, in either direction."""
    x = torch.arange(8.0)[::2].detach().requires_grad_()
    w = torch.ones(3, requires_grad=True)
    for _ in range(20):
        torch.full((8,), 5.0)  # what lies in the memory that is taken next
        (g,) = torch.autograd.grad(x.as_strided((3,), (1,), 0), x, w, create_graph=True)
        assert g.tolist() == [1, 1, 0, 0]
        (gg,) = torch.autograd.grad(g, w, torch.tensor([2.0, 3.0, 4.0, 5.0]))
        assert gg.tolist() == [2, 0, 3]
    same = torch.ones(1).expand(4).detach().requires_grad_()  # four elements in one place: each gets the whole sum
    (g,) = torch.autograd.grad(same.as_strided((3,), (0,), 0), same, w, create_graph=True)
    assert g.tolist() == [3, 3, 3, 3]
    (gg,) = torch.autograd.grad(g, w, torch.tensor([2.0, 3.0, 4.0, 5.0]))
    assert gg.tolist() == [14, 14, 14]


def test_views_of_nothing_far_away():
    """The place of an empty view may be beyond what an address can say."""
    x = torch.empty((2**40, 2**20, 0)).as_strided((2**62, 0), (1, 1))
    v = x[2**62 - 1]
    assert v.shape == (0,) and v.data_ptr() == x.data_ptr() and torch.ones(4)[3:3].storage_offset() == 3
    assert torch.empty((2**62, 0))[2**61 :].shape == (2**61, 0)


def test_view_made_before_its_base_changes():
    leaf = base().requires_grad_()
    y = leaf * 2
    v = y[0]
    y.mul_(5)  # v is now 10 * leaf[0]
    assert v.grad_fn is not None
    v.sum().backward()
    assert leaf.grad.tolist() == [[10.0] * 3, [0.0] * 3, [0.0] * 3, [0.0] * 3]


def test_base_and_is_view():
    x = base()
    assert x._base is None and x[0]._base is x and x[0][1:]._base is x and x.detach()._base is None
    assert x.t().is_contiguous() is False and x.t().contiguous().is_contiguous()


def test_saved_values_are_guarded():
    x = base().requires_grad_()
    y = x.exp()
    y += 1
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()
    z = x * 2
    z.mul_(3)  # a product by a number saves nothing of z
    z.sum().backward()
    assert x.grad.unique().tolist() == [6.0]


def test_guard_says_which_version_was_expected():
    x = torch.ones(2, requires_grad=True)
    y = x.sigmoid()
    y.zero_()
    with pytest.raises(RuntimeError, match="is at version 1; expected version 0 instead"):
        y.sum().backward()


def test_leaves_are_not_changed_in_place():
    x = base().requires_grad_()
    for change in (lambda: x.add_(1), lambda: x.zero_(), lambda: x.__setitem__(0, 1.0)):
        with pytest.raises(RuntimeError, match="leaf Variable that requires grad"):
            change()
    with pytest.raises(RuntimeError, match="a view of a leaf Variable that requires grad"):
        x[0].add_(1)
    leaf_view = torch.arange(4.0).reshape(2, 2).requires_grad_()
    with pytest.raises(RuntimeError, match="a view of a leaf Variable that requires grad"):
        leaf_view[0] = 1.0
    with torch.no_grad():
        x.add_(1)
    assert x._version == 1 and x.requires_grad


def test_data_changes_do_not_count():
    x = base().requires_grad_()
    y = x.exp()
    x.data.add_(1)
    assert x._version == 0
    y.sum().backward()


def test_detached_tensors_share_the_version():
    x = torch.ones(3)
    d = x.detach()
    d.add_(1)
    assert x._version == 1 and x.tolist() == [2.0] * 3


def test_in_place_on_a_broadcast_result_is_refused():
    with pytest.raises(RuntimeError, match="output with shape .* doesn't match the broadcast shape"):
        torch.ones(3).add_(torch.ones(2, 3))


def test_in_place_overlap():
    x = torch.arange(6.0)
    x[1:].copy_(x[:-1].clone())
    assert x.tolist() == [0.0, 0.0, 1.0, 2.0, 3.0, 4.0]
    x = torch.arange(6.0)
    x[1:].add_(x[:-1])  # PyTorch refuses; here it is what the formula says
    assert x.tolist() == [0.0, 1.0, 3.0, 5.0, 7.0, 9.0]


def test_resize_and_set_data():
    x = torch.ones(2)
    x.resize_(2, 3)
    assert tuple(x.shape) == (2, 3) and x.flatten()[:2].tolist() == [1.0, 1.0]
    p = torch.nn.Parameter(torch.ones(2))
    p.data = torch.zeros(3)
    assert tuple(p.shape) == (3,) and p.requires_grad


@pytest.mark.parametrize("size", [3, 5000])
def test_resize_does_not_pull_memory_from_under_others(size):
    """Views, arrays and buffers know where their bytes are: a storage that they share may not move."""
    big = 100 * size
    for share in (lambda x: x[1:], lambda x: x.detach(), lambda x: x.numpy(), lambda x: memoryview(x), torch.to_dlpack):
        x = torch.zeros(size)
        other = share(x)
        with pytest.raises(RuntimeError, match="Trying to resize storage that is not resizable"):
            x.resize_(big)
        assert tuple(x.shape) == (size,) and x.sum() == 0
        assert tuple(x.resize_(1).shape) == (1,)  # what fits is there
        del other
        assert tuple(x.resize_(big).shape) == (big,)
    x = torch.zeros(size)
    with pytest.raises(RuntimeError, match="not resizable"):
        torch.ones(big, out=x[:2])
    assert x.sum() == 0


@pytest.mark.parametrize("size", [3, 5000])
def test_arrays_and_capsules_outlive_a_change_of_data(size):
    for share in (lambda x: x.numpy(), lambda x: np.asarray(memoryview(x)), lambda x: torch.from_dlpack(torch.to_dlpack(x)).numpy()):
        x = torch.full((size,), 7.0)
        array = share(x)
        x.data = torch.zeros(2)
        kept = [torch.full((size,), 1.0) for _ in range(20)]  # would take the place of what was freed
        assert (array == 7).all() and len(kept) == 20


# ---- out= ----


def test_out_is_filled_resized_and_returned():
    x, y = torch.arange(3.0), torch.ones(3)
    out = torch.empty(3)
    assert torch.add(x, y, out=out) is out and out.tolist() == [1.0, 2.0, 3.0]
    empty = torch.empty(0)
    torch.add(x, y, out=empty)
    assert empty.tolist() == [1.0, 2.0, 3.0]
    part = torch.zeros(6)
    torch.add(x, y, out=part[::2])
    assert part.tolist() == [1.0, 0.0, 2.0, 0.0, 3.0, 0.0]
    wide_out = torch.empty(3, dtype=torch.float64)
    torch.add(x, y, out=wide_out)
    assert wide_out.dtype is torch.float64 and wide_out.tolist() == [1.0, 2.0, 3.0]


def test_out_of_several_results():
    values, indices = torch.empty(0), torch.empty(0, dtype=torch.int64)
    torch.max(torch.tensor([[1.0, 5.0], [7.0, 2.0]]), 1, out=(values, indices))
    assert values.tolist() == [5.0, 7.0] and indices.tolist() == [1, 0]


def test_out_and_gradients_exclude_each_other():
    with pytest.raises(RuntimeError, match="out=... arguments don't support automatic differentiation"):
        torch.add(torch.ones(2, requires_grad=True), 1, out=torch.empty(2))


def test_out_that_overlaps_its_input():
    x = torch.arange(4.0)
    torch.mul(x, 2, out=x)
    assert x.tolist() == [0.0, 2.0, 4.0, 6.0]


# ---- lives ----


def test_identity_and_attributes_live_as_long_as_the_tensor():
    x = torch.ones(2, requires_grad=True)
    (x * 2).sum().backward()
    assert x.grad is x.grad
    x.note = "kept"
    assert x.note == "kept"
    seen = weakref.ref(x)
    del x
    gc.collect()
    assert seen() is None


def test_cycle_through_a_hook_is_collected():
    class Holder:
        pass

    holder = Holder()
    x = torch.ones(2, requires_grad=True)
    y = x * 2
    holder.tensor = y
    y.register_hook(lambda g, h=holder: None)
    seen = weakref.ref(holder)
    del holder, x, y
    gc.collect()
    assert seen() is None


def test_long_chain():
    x = torch.ones(1, requires_grad=True)
    y = x
    for _ in range(200_000):
        y = y + 1
    y.backward()
    assert x.grad.item() == 1.0
    del y


def test_memory_outlives_its_makers():
    def made():
        return torch.from_numpy(np.arange(4.0))[1:]

    x = made()
    gc.collect()
    assert x.tolist() == [1.0, 2.0, 3.0]


def test_sizes_hold_numbers_alone():
    """They are kept and used again, unknown to the collector of cycles: nothing else may hide in one."""
    size = torch.zeros(3).shape
    for other in (("a",), (size,), ([],)):
        with pytest.raises(TypeError, match="takes an iterable of 'int'"):
            size + other
        with pytest.raises(TypeError, match="takes an iterable of 'int'"):
            torch.Size(other)
    assert size + (True,) == (3, 1) and type(size + (2,)) is type(size)

    class Number(int):
        def __del__(self):
            torch.zeros(2).shape, [torch.Size((i,)) for i in range(50)]

    many = [torch.Size((Number(i),)) for i in range(100)]
    del many
    assert [tuple(torch.zeros(i).shape) for i in range(40)] == [(i,) for i in range(40)]

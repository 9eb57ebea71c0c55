"""Tensors and other libraries' memory: NumPy, DLPack, buffers, pickle, copies."""

import array
import copy
import io
import pickle

import numpy as np
import pytest

import flambeau as torch

DTYPES = ("bool", "uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64", "complex64", "complex128")


@pytest.mark.parametrize("name", DTYPES)
@pytest.mark.parametrize("layout", ["whole", "transposed", "strided", "empty", "scalar"])
def test_numpy_both_ways_without_copies(name, layout):
    a = np.arange(24).reshape(4, 6).astype(name)
    a = {"whole": a, "transposed": a.T, "strided": a[1::2, ::3], "empty": a[:0], "scalar": a[1, 1:2].reshape(())}[layout]
    t = torch.from_numpy(a)
    assert t.dtype is getattr(torch, name) and tuple(t.shape) == a.shape
    if a.size:
        assert tuple(s * a.itemsize for s in t.stride()) == a.strides or 1 in a.shape
    b = t.numpy()
    assert b.dtype == a.dtype and b.shape == a.shape
    np.testing.assert_array_equal(a, b)
    if a.size:
        assert b.__array_interface__["data"][0] == a.__array_interface__["data"][0]
        t.fill_(1)
        assert (a == 1).all()


def test_numpy_functions_take_tensors():
    t = torch.arange(6.0).reshape(2, 3)
    assert np.sum(t) == 15 and np.asarray(t).shape == (2, 3)
    assert np.shares_memory(np.asarray(t), t.numpy())
    assert isinstance(np.sin(t), (np.ndarray, torch.Tensor))
    assert np.array(t, dtype=np.int32).dtype == np.int32
    np.testing.assert_array_equal(np.ones((2, 3)) + t.numpy(), t + 1)


def test_numpy_refuses_what_it_cannot_share():
    x = torch.ones(2, requires_grad=True)
    with pytest.raises(RuntimeError, match="Can't call numpy\\(\\) on Tensor that requires grad"):
        x.numpy()
    assert x.detach().numpy().tolist() == [1.0, 1.0]
    with pytest.raises(TypeError, match="BFloat16"):
        torch.ones(2, dtype=torch.bfloat16).numpy()
    with pytest.raises((ValueError, RuntimeError), match="negative|strides"):
        torch.from_numpy(np.arange(4)[::-1])
    with pytest.raises(TypeError, match="object"):
        torch.from_numpy(np.array([object()]))
    with pytest.raises(TypeError):
        torch.from_numpy([1, 2])


def test_tensor_of_arrays_copies():
    a = np.arange(3.0)
    t = torch.tensor(a)
    a[0] = 9
    assert t.tolist() == [0.0, 1.0, 2.0] and t.dtype is torch.float64
    assert torch.as_tensor(a).numpy() is not a and np.shares_memory(torch.as_tensor(a).numpy(), a)
    assert torch.tensor([np.float32(1.5), np.float32(2)]).tolist() == [1.5, 2.0]
    assert torch.tensor([[torch.tensor(1), torch.tensor(2)]]).tolist() == [[1, 2]]


def test_dlpack_both_ways():
    a = np.arange(6.0).reshape(2, 3)
    t = torch.from_dlpack(a)
    assert np.shares_memory(t.numpy(), a)
    b = np.from_dlpack(torch.arange(4, dtype=torch.int32))
    assert b.tolist() == [0, 1, 2, 3] and b.dtype == np.int32
    x = torch.arange(6.0).reshape(2, 3).t()
    y = torch.from_dlpack(x)
    assert y.stride() == x.stride()
    y[0, 0] = 7
    assert x[0, 0] == 7
    assert x.__dlpack_device__() == (1, 0)
    with pytest.raises((RuntimeError, BufferError), match="require"):
        np.from_dlpack(torch.ones(2, requires_grad=True))


def test_buffers():
    m = memoryview(torch.arange(6, dtype=torch.int32).reshape(2, 3))
    assert m.shape == (2, 3) and m.itemsize == 4 and m.tolist() == [[0, 1, 2], [3, 4, 5]]
    held = array.array("f", [1.0, 2.0, 3.0])
    t = torch.frombuffer(held, dtype=torch.float32, offset=4)
    assert t.tolist() == [2.0, 3.0]
    t[0] = 5
    assert held[1] == 5.0
    with pytest.raises(ValueError, match="offset|buffer"):
        torch.frombuffer(held, dtype=torch.float32, offset=40)


MAKERS = {
    "plain": lambda: torch.arange(6.0).reshape(2, 3),
    "view": lambda: torch.arange(12.0).reshape(3, 4)[1:, ::2],
    "scalar": lambda: torch.tensor(3),
    "empty": lambda: torch.empty(0, 2),
    "bfloat16": lambda: torch.tensor([1.5, 2.5], dtype=torch.bfloat16),
    "complex": lambda: torch.tensor([1 + 2j]),
    "bool": lambda: torch.tensor([True, False]),
    "grad": lambda: torch.ones(2, requires_grad=True),
    "parameter": lambda: torch.nn.Parameter(torch.ones(2)),
    "frozen": lambda: torch.nn.Parameter(torch.ones(2), requires_grad=False),
}


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("name", MAKERS)
def test_pickle(name, protocol):
    x = MAKERS[name]()
    y = pickle.loads(pickle.dumps(x, protocol))
    assert type(y) is type(x) and y.dtype is x.dtype and y.requires_grad == x.requires_grad
    assert tuple(y.shape) == tuple(x.shape) and y.stride() == x.stride() and y.tolist() == x.tolist()


def test_pickle_keeps_identity():
    x = torch.arange(4.0)
    a, b = pickle.loads(pickle.dumps((x, x)))
    assert a is b


@pytest.mark.parametrize("name", MAKERS)
def test_copies(name):
    x = MAKERS[name]()
    shallow, deep = copy.copy(x), copy.deepcopy(x)
    assert type(deep) is type(x) and deep.requires_grad == x.requires_grad and deep.tolist() == x.tolist()
    if x.numel():
        assert deep.data_ptr() != x.data_ptr()
        assert shallow.data_ptr() == x.data_ptr()


def test_deepcopy_keeps_what_hangs_together():
    x = torch.ones(2, requires_grad=True)
    (x * 3).sum().backward()
    y = copy.deepcopy(x)
    assert y.grad.tolist() == [3.0, 3.0] and y.grad is not x.grad
    a, b = copy.deepcopy((x.detach(), x.detach()))
    pair = copy.deepcopy([x, x])
    assert pair[0] is pair[1] and a is not b
    with pytest.raises(RuntimeError, match="Only Tensors created explicitly by the user"):
        copy.deepcopy(x * 2)


def test_torch_types_pickle():
    for value in (torch.float32, torch.Size([1, 2]), torch.device("cpu"), torch.strided):
        again = pickle.loads(pickle.dumps(value))
        assert again == value and type(again) is type(value)
    g = torch.Generator().manual_seed(3)
    state = pickle.loads(pickle.dumps(g.get_state()))
    other = torch.Generator()
    other.set_state(state)
    assert torch.rand(3, generator=g).tolist() == torch.rand(3, generator=other).tolist()


def test_numbers_out_of_tensors():
    assert float(torch.tensor(2.5)) == 2.5 and int(torch.tensor(3)) == 3 and bool(torch.tensor([1])) and complex(torch.tensor(1j)) == 1j
    assert range(5)[torch.tensor(2)] == 2 and [1, 2, 3][torch.tensor(1)] == 2
    for bad in (torch.ones(2), torch.empty(0)):
        with pytest.raises((RuntimeError, ValueError), match="cannot be converted to Scalar|only one element tensors"):
            float(bad)
        with pytest.raises(RuntimeError, match="cannot be converted to Scalar"):
            bad.item()
    with pytest.raises(RuntimeError, match="Boolean value of Tensor with more than one value is ambiguous"):
        bool(torch.ones(2))
    with pytest.raises(TypeError, match="only integer tensors of a single element can be converted to an index"):
        range(5)[torch.tensor(1.5)]


def test_save_and_load_in_memory():
    held = io.BytesIO()
    torch.save({"x": torch.arange(3.0), "n": 1}, held)
    held.seek(0)
    loaded = torch.load(held)
    assert loaded["x"].tolist() == [0.0, 1.0, 2.0] and loaded["n"] == 1

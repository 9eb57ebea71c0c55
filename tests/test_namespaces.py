"""Names that programs reach for besides operations: constants, types by element, modules about devices and state."""

import functools
import math
import subprocess
import sys

import numpy as np
import pytest

import flambeau as torch


def test_constants():
    assert (torch.pi, torch.e, torch.inf) == (math.pi, math.e, math.inf) and torch.nan != torch.nan and torch.newaxis is None


def test_types_by_element():
    assert torch.LongTensor([1, 2]).dtype is torch.int64 and torch.FloatTensor(2, 3).shape == (2, 3)
    assert torch.DoubleTensor(np.ones(2, "float32")).dtype is torch.float64
    assert isinstance(torch.ones(1), torch.FloatTensor) and not isinstance(torch.ones(1), torch.LongTensor)
    assert torch.ones(1).type(torch.LongTensor).dtype is torch.int64 and torch.LongTensor.__name__ == "LongTensor"
    assert type(torch.ByteTensor([1])) is torch.Tensor
    with pytest.raises(TypeError, match="expected LongTensor"):
        torch.LongTensor(torch.ones(1))


def test_fork_rng_leaves_the_stream_alone():
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    with torch.random.fork_rng():
        torch.rand(9)
    assert torch.equal(torch.rand(1), expected)


def test_devices_that_are_not_there():
    assert not torch.cuda.is_available() and torch.cuda.device_count() == 0 and not torch.backends.mps.is_available()
    assert not torch.accelerator.is_available() and torch.accelerator.current_accelerator() is None
    torch.cuda.manual_seed_all(1)
    torch.cuda.empty_cache()
    with pytest.raises(AssertionError, match="not compiled with CUDA"):
        torch.cuda.current_device()
    torch.backends.cudnn.benchmark = True
    with torch.backends.cudnn.flags(enabled=False):
        assert not torch.backends.cudnn.enabled
    assert torch.backends.cudnn.enabled and torch.backends.cudnn.benchmark
    torch.set_default_device("cpu")
    assert torch.get_default_device() == torch.device("cpu")


def test_results_with_fields():
    found = torch.ones(1, 2).max(1)
    assert isinstance(found, torch.return_types.max) and repr(found).startswith("torch.return_types.max(\nvalues=")
    low, high = torch.aminmax(torch.tensor([3, 1]))
    assert (low, high) == (1, 3)
    assert repr(torch.aminmax(torch.tensor([3, 1]))) == "torch.return_types.aminmax(\nmin=tensor(1),\nmax=tensor(3))"
    assert repr(torch.ones(3).median(0)).startswith("torch.return_types.median(")
    assert type(torch.nn.functional.max_pool2d(torch.ones(1, 1, 2, 2), 2, return_indices=True)) is tuple


def test_storages():
    x = torch.arange(6.0)[2:]
    assert len(x.storage()) == 6 and x.storage()[2] == 2.0 and x.untyped_storage().nbytes() == 24
    x.storage()[2] = 9
    assert x[0] == 9 and torch.is_storage(x.storage()) and isinstance(x.storage(), torch.storage.TypedStorage)


def test_dlpack_by_capsule():
    x = torch.ones(2)
    y = torch.utils.dlpack.from_dlpack(torch.utils.dlpack.to_dlpack(x))
    y[0] = 5
    assert x[0] == 5


def test_arrays_show_as_numpys_own():
    assert repr(torch.tensor([1, 2]).numpy()) == "array([1, 2])"


def test_classes_that_are_no_tensors_can_take_part():
    class Stranger:
        def __torch_function__(self, func, types, args=(), kwargs=None):
            return func.__name__, len(args)

    assert torch.add(Stranger(), 1) == ("add", 2) and torch.mean(Stranger()) == ("mean", 1)
    assert torch.overrides.is_tensor_like(Stranger()) and torch.overrides.has_torch_function((1, Stranger()))
    with pytest.raises(TypeError, match="must be Tensor, not str"):
        torch.mean("x")


@pytest.mark.parametrize("name", ["amp", "backends", "cuda", "overrides", "random", "storage", "testing", "types", "functional", "multiprocessing"])
def test_modules_can_be_imported_by_name(name):
    code = f"import flambeau.{name} as m; import flambeau; assert flambeau.{name} is m"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_sizes_stay_sizes():
    assert type((1,) + torch.Size([2])) is torch.Size and (1,) + torch.Size([2]) == (1, 2)
    with pytest.raises(TypeError):
        torch.Size([1]) + [2]


def test_layers_shown_by_the_package():
    x = torch.tensor([[-1.0, 2.0]])
    assert torch.cosine_similarity(x, x).item() == pytest.approx(1) and torch.prelu(x, torch.tensor([0.5]))[0, 0] == -0.5
    assert x.prelu(torch.tensor([0.5]))[0, 0] == -0.5 and torch.threshold(x, 0.0, 9.0)[0, 0] == 9
    assert torch.pixel_shuffle(torch.ones(1, 4, 1, 1), 2).shape == (1, 1, 2, 2)
    assert torch.hinge_embedding_loss(x, torch.ones(1, 2), reduction=1).item() == 0.5
    assert torch.hinge_embedding_loss(x, torch.ones(1, 2), reduction=2).item() == 1.0
    assert torch.alpha_dropout(x, 0.5, False) is x
    assert torch.feature_dropout(torch.ones(1, 2, 3), 0.5, True).unique().tolist() in ([0, 2], [0], [2])


def test_python_functions_on_elements():
    x = torch.tensor([1, 2])
    assert x.apply_(lambda v: v + 1).tolist() == [2, 3] and x.map_(torch.tensor([10]), lambda a, b: a * b).tolist() == [20, 30]
    assert x.new([1.9]).tolist() == [1] and x.new(2, 3).shape == (2, 3) and x.is_set_to(x) and not x.is_set_to(x.clone())


@pytest.mark.parametrize("package", ["", "autograd", "nn", "nn.utils", "optim", "utils", "utils.data", "func", "amp", "linalg"])
def test_names_are_there_or_attribute_errors(package):
    module = functools.reduce(getattr, filter(None, package.split(".")), torch)
    for name in [*dir(module), *getattr(module, "_LATER", ())]:
        assert name.startswith("__") or hasattr(module, name), name
    assert not hasattr(module, "profiler") and not hasattr(module, "_nothing")

"""What beginners get wrong, and what they are told: PyTorch's exception class and phrase, and more than PyTorch says.

Each entry: a name, the mistake, the class, PyTorch's phrase, and words of ours (operands, a hint) that stand below it.
"""

import io
import pickle
import re
import zipfile

import numpy as np
import pytest

import flambeau as torch

nn, F = torch.nn, torch.nn.functional


def backward_twice():
    x = torch.ones(3, requires_grad=True)
    loss = x.exp().sum()
    loss.backward()
    loss.backward()


def changed_in_place():
    x = torch.ones(3, requires_grad=True)
    y = x.sigmoid()
    y += 1
    y.sum().backward()


def leaf_changed_in_place():
    w = torch.ones(3, requires_grad=True)
    w -= 0.1


def backward_of_many():
    (torch.ones(3, requires_grad=True) * 2).backward()


def nothing_requires_grad():
    torch.ones(3).sum().backward()


def wrong_layer_input():
    nn.Sequential(nn.Linear(10, 32), nn.ReLU(), nn.Linear(32, 1))(torch.ones(4, 20))


def wrong_state():
    nn.Linear(3, 2).load_state_dict(nn.Linear(4, 2).state_dict())


def missing_keys():
    nn.Linear(3, 2).load_state_dict({"weight": torch.ones(2, 3)})


def no_parameters():
    torch.optim.SGD([], lr=0.1)


def truncated_checkpoint():
    held = io.BytesIO()
    torch.save({"w": torch.ones(100)}, held)
    torch.load(io.BytesIO(held.getvalue()[:300]))


def foreign_checkpoint():
    torch.load(io.BytesIO(b"this is no checkpoint"))


def checkpoint_with_code():
    class Run:
        def __reduce__(self):
            return print, ("never",)

    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(Run(), 2))
        archive.writestr("archive/version", "3\n")
    torch.load(io.BytesIO(held.getvalue()), weights_only=True)


def ragged_batch():
    loader = torch.utils.data.DataLoader([torch.ones(2), torch.ones(3)], batch_size=2)
    next(iter(loader))


MISTAKES = {
    "shapes of a sum": (lambda: torch.ones(2, 3) + torch.ones(2, 4), RuntimeError,
        r"The size of tensor a \(3\) must match the size of tensor b \(4\) at non-singleton dimension 1", r"add: .*\(2, 3\).*\(2, 4\)"),
    "shapes of a product": (lambda: torch.ones(2, 3) @ torch.ones(4, 5), RuntimeError,
        r"mat1 and mat2 shapes cannot be multiplied \(2x3 and 4x5\)", r"got \(2, 3\) float32 and \(4, 5\) float32"),
    "input of a layer": (wrong_layer_input, RuntimeError,
        r"mat1 and mat2 shapes cannot be multiplied \(4x20 and 10x32\)", r"linear: expected an input whose last dimension is 10; got \(4, 20\)"),
    "channels of a convolution": (lambda: nn.Conv2d(3, 8, 3)(torch.ones(1, 1, 28, 28)), RuntimeError,
        r"Given groups=1, weight of size \[8, 3, 3, 3\], expected input\[1, 1, 28, 28\] to have 3 channels, but got 1 channels instead",
        r"got \(1, 1, 28, 28\)"),
    "kernel larger than the image": (lambda: F.conv2d(torch.ones(1, 1, 2, 2), torch.ones(1, 1, 3, 3)), RuntimeError,
        r"Kernel size can't be greater than actual input size", r"conv2d: .*\(1, 1, 2, 2\)"),
    "reshape": (lambda: torch.ones(2, 3).reshape(4, 2), RuntimeError,
        r"shape '\[4, 2\]' is invalid for input of size 6", r"reshape: got \(2, 3\) float32"),
    "view of a transposed tensor": (lambda: torch.ones(2, 3).t().view(6), RuntimeError,
        r"view size is not compatible with input tensor's size and stride", r"reshape"),
    "shapes of cat": (lambda: torch.cat([torch.ones(2, 3), torch.ones(3, 4)]), RuntimeError,
        r"Sizes of tensors must match except in dimension 0", r"cat: .*\(2, 3\).*\(3, 4\)"),
    "shapes of stack": (lambda: torch.stack([torch.ones(2), torch.ones(3)]), RuntimeError,
        r"stack expects each tensor to be equal size", r"stack"),
    "dimension": (lambda: torch.ones(2, 3).sum(2), IndexError,
        r"Dimension out of range \(expected to be in range of \[-2, 1\], but got 2\)", r"sum: got \(2, 3\) float32"),
    "index": (lambda: torch.ones(3)[3], IndexError,
        r"index 3 is out of bounds for dimension 0 with size 3", r""),
    "types of a product": (lambda: torch.ones(2, 2) @ torch.ones(2, 2, dtype=torch.float64), RuntimeError,
        r"expected m1 and m2 to have the same dtype, but got: float != double", r"hint: cast one with \.to\(dtype\)"),
    "integers into a layer": (lambda: nn.Linear(2, 2)(torch.ones(1, 2, dtype=torch.int64)), RuntimeError,
        r"must have the same dtype|same dtype", r"hint: cast"),
    "float targets of classes": (lambda: F.cross_entropy(torch.ones(2, 3), torch.ones(2)), RuntimeError,
        r"[Ee]xpected .*Long.*|Expected floating point type for target with class probabilities", r""),
    "class number out of range": (lambda: F.cross_entropy(torch.ones(2, 3), torch.tensor([0, 3])), IndexError,
        r"Target 3 is out of bounds", r"cross_entropy: expected class numbers from 0 to 2 .*; got 3 at position 1"),
    "targets of another batch": (lambda: F.cross_entropy(torch.ones(2, 3), torch.tensor([0, 1, 2])), ValueError,
        r"Expected input batch_size \(2\) to match target batch_size \(3\)", r""),
    "embedding index": (lambda: nn.Embedding(10, 3)(torch.tensor([1, 10])), IndexError,
        r"index out of range in self", r"embedding: .*10"),
    "gradient of a float only": (lambda: torch.ones(2, dtype=torch.int64, requires_grad=True), RuntimeError,
        r"Only Tensors of floating point and complex dtype can require gradients", r""),
    "backward twice": (backward_twice, RuntimeError,
        r"Trying to backward through the graph a second time", r"retain_graph=True"),
    "changed in place": (changed_in_place, RuntimeError,
        r"one of the variables needed for gradient computation has been modified by an inplace operation", r"version 1; expected version 0"),
    "leaf changed in place": (leaf_changed_in_place, RuntimeError,
        r"a leaf Variable that requires grad is being used in an in-place operation", r"hint: wrap the change in `with no_grad\(\):`"),
    "backward of many numbers": (backward_of_many, RuntimeError, r"grad can be implicitly created only for scalar outputs", r""),
    "backward of nothing": (nothing_requires_grad, RuntimeError,
        r"element 0 of tensors does not require grad and does not have a grad_fn", r""),
    "numpy of a gradient": (lambda: torch.ones(2, requires_grad=True).numpy(), RuntimeError,
        r"Can't call numpy\(\) on Tensor that requires grad. Use tensor.detach\(\).numpy\(\) instead", r""),
    "truth of many": (lambda: bool(torch.ones(2) == torch.ones(2)), RuntimeError,
        r"Boolean value of Tensor with more than one value is ambiguous", r""),
    "item of many": (lambda: torch.ones(2).item(), RuntimeError, r"a Tensor with 2 elements cannot be converted to Scalar", r""),
    "another device": (lambda: torch.ones(2).to("cuda"), (RuntimeError, AssertionError), r"Torch not compiled with CUDA enabled|NVIDIA", r""),
    "unknown device": (lambda: torch.ones(2, device="gpu"), RuntimeError, r"Expected one of cpu, .*device type at start of device string: gpu", r""),
    "state of another layer": (wrong_state, RuntimeError,
        r"Error\(s\) in loading state_dict for Linear:\n\s*size mismatch for weight", r""),
    "state with holes": (missing_keys, RuntimeError, r"Missing key\(s\) in state_dict: \"bias\"", r""),
    "optimizer of nothing": (no_parameters, ValueError, r"optimizer got an empty parameter list", r""),
    "negative learning rate": (lambda: torch.optim.SGD([torch.ones(1, requires_grad=True)], lr=-1), ValueError, r"Invalid learning rate: -1", r""),
    "forgotten super().__init__": (lambda: type("Net", (nn.Module,), {"__init__": lambda self: setattr(self, "layer", nn.Linear(1, 1))})(),
        AttributeError, r"cannot assign module before Module.__init__\(\) call", r""),
    "missing forward": (lambda: type("Net", (nn.Module,), {})()(1), NotImplementedError, r"missing the required \"forward\" function", r""),
    "missing file": (lambda: torch.load("/nowhere/model.pt"), FileNotFoundError, r"No such file or directory: '/nowhere/model.pt'", r""),
    "truncated checkpoint": (truncated_checkpoint, (RuntimeError, EOFError, pickle.UnpicklingError),
        r"PytorchStreamReader failed|failed reading zip archive|Weights only load failed|not a ZIP archive", r""),
    "foreign checkpoint": (foreign_checkpoint, (RuntimeError, pickle.UnpicklingError),  # PyTorch: IndexError, pop from empty list
        r"Weights only load failed|Invalid magic|checkpoint", r""),
    "checkpoint with code": (checkpoint_with_code, (RuntimeError, pickle.UnpicklingError), r"Weights only load failed|Unsupported global|builtins.print", r""),
    "ragged batch": (ragged_batch, RuntimeError, r"stack expects each tensor to be equal size, but got \[2\] at entry 0 and \[3\] at entry 1", r""),
    "ragged list": (lambda: torch.tensor([[1, 2], [3]]), ValueError, r"expected sequence of length 2 at dim 1 \(got 1\)", r""),
    "text in a tensor": (lambda: torch.tensor(["a"]), (TypeError, ValueError), r"too many dimensions 'str'|invalid data type 'str'", r""),
    "misspelt argument": (lambda: torch.ones(2).sum(dims=0), TypeError, r"dims", r""),
    "array of objects": (lambda: torch.from_numpy(np.array([None])), TypeError, r"can't convert np.ndarray of type numpy.object_", r""),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_mistake(name):
    mistake, kind, phrase, more = MISTAKES[name]
    with pytest.raises(kind, match=phrase) as raised:
        mistake()
    if torch.__name__ == "flambeau":
        message = str(raised.value) + "\n" + "\n".join(getattr(raised.value, "__notes__", []))
        assert re.search(more, message), message


def test_the_module_is_named():
    net = nn.Sequential(nn.Linear(10, 32), nn.ReLU(), nn.Linear(32, 1))
    with pytest.raises(RuntimeError) as raised:
        net(torch.ones(4, 20))
    assert any("Linear(10, 32)" in note or "Linear(in_features=10" in note for note in getattr(raised.value, "__notes__", []))


def test_life_goes_on():
    """After all of them: the library still works."""
    for mistake, kind, _, _ in MISTAKES.values():
        with pytest.raises(kind):
            mistake()
    x = torch.ones(3, requires_grad=True)
    (x * 2).sum().backward()
    assert x.grad.tolist() == [2.0] * 3


def test_unreadable_image(tmp_path):
    pytest.importorskip("PIL")
    from flambeau.demo import predict

    picture = tmp_path / "broken.png"
    picture.write_bytes(b"\x89PNG\r\n\x1a\nnot really")
    with pytest.raises(Exception) as raised:
        predict.read_image(str(picture))
    assert "broken.png" in str(raised.value)


def test_numbers_at_the_end_of_what_fits():
    """Where sums of such numbers would leave 64 bits, the result is right or an error, never another number."""
    x, most, least = torch.ones(3, 4), 2**63 - 1, -(2**63)
    for diagonal in (most, most - 2, 10):
        assert x.tril(diagonal).sum() == 12 and x.triu(diagonal).sum() == 0
    for diagonal in (least, least + 2, -10):
        assert x.tril(diagonal).sum() == 0 and x.triu(diagonal).sum() == 12
    images, weight = torch.ones(1, 1, 4, 4), torch.ones(1, 1, 2, 2)
    for options in ({"padding": 2**62}, {"dilation": 2**62}, {"dilation": 2**63 - 1}, {"padding": 2**63 - 1}):
        with pytest.raises(RuntimeError):
            torch.nn.functional.conv2d(images, weight, **options)
        with pytest.raises(RuntimeError):
            torch.nn.functional.conv_transpose2d(images, weight, **options)
    with pytest.raises(RuntimeError):
        torch.nn.functional.conv_transpose2d(images, weight, stride=2**62)

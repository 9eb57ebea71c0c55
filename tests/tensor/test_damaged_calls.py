"""Calls with arguments drawn at random of all that is no row: methods, attributes and operators of tensors, sizes and
generators, and the functions of the core that the package calls. Each ends with a result or with Python's exception, never
with the process and never with an error that nobody raises.

A program of its own tries each of them in a child, so that what one leaves behind does not reach the next.
"""

import subprocess
import sys

import pytest

import flambeau as torch

PROGRAM = '''
import os, random, signal, sys, types, warnings
import flambeau as torch
from flambeau import _C

warnings.simplefilter("ignore")

class Odd:
    def __index__(self): raise ValueError("no index")
    def __len__(self): return -1
    def __iter__(self): raise ValueError("no entries")
    def __bool__(self): raise ValueError("neither")

def drawn(r):
    zeros = torch.zeros
    return r.choice([
        None, 0, 1, -1, 2, 3, 2**31, 2**63 - 1, -2**63, 2**70, 0.5, float("nan"), 1e308, 1j, True, False, "", "cpu", "mean", b"abc",
        (), [], {}, (1, 2), [1, -1], (2**62, 4), [2**70], [None], ["a"], (zeros(2), zeros(3)), [zeros(2), None], slice(None),
        slice(1, None, 2), slice(2**70, Odd()), ..., zeros(()), zeros(0), zeros(3), zeros(2, 3), zeros(2, 3).t(), zeros(3, dtype=torch.int64),
        zeros(3, dtype=torch.bool), zeros(2, dtype=torch.complex64), zeros(2, dtype=torch.float16), torch.ones(3, requires_grad=True),
        torch.ones(2, 3, requires_grad=True) * 2, zeros(1).expand(5), zeros(0, 3), torch.float32, torch.int64, torch.Size([2]),
        object(), Odd(), lambda *a: None, int, torch.Tensor, torch.Generator(), torch.device("cpu"), range(3), torch.contiguous_format,
    ])

def subject(kind, r):
    if kind == "Size": return torch.Size([2, 3])
    if kind == "Generator": return torch.Generator()
    if kind == "core": return _C
    while not isinstance(t := drawn(r), torch.Tensor): pass
    return t.detach().clone() if r.random() < 0.5 else t

def attempt(kind, name, r):
    """None, or what was wrong."""
    try:
        args = [drawn(r) for _ in range(r.choice((0, 1, 1, 2, 2, 3, 4, 6)))]
        named = {r.choice(["dim", "out", "dtype", "keepdim", "generator", "size"]): drawn(r)} if r.random() < 0.15 else {}
        of = subject(kind, r)
        member = getattr(of, name)
        if callable(member): member(*args, **named)
        elif args and kind == "Tensor": setattr(of, name, args[0])
    except SystemError as error: return f"SystemError: {error}"
    except Exception: pass

def members(kind, of, skipped=()):
    return [(kind, n) for n in sorted(dir(of)) if n not in ("__class__", "__init_subclass__", "__subclasshook__", "__new__", "__getattribute__", *skipped)]

targets = members("Tensor", torch.Tensor) + members("Size", torch.Size) + members("Generator", torch.Generator)
targets += [("core", n) for n in sorted(dir(_C)) if callable(getattr(_C, n)) and not n.startswith("__")]
tried = 0
for kind, name in targets:
    child = os.fork()
    if child == 0:
        signal.alarm(60)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        for turn in range(int(sys.argv[1])):
            wrong = attempt(kind, name, random.Random(f"{sys.argv[2]} {name} {turn}"))
            if wrong: print(f"{kind}.{name}, turn {turn}: {wrong}", flush=True)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    tried += 1
    if status: print(f"{kind}.{name}: the process ended with status {status}", flush=True)
print(tried)
'''


@pytest.mark.parametrize("seed", [0, 1])
def test_no_call_ends_the_process(seed):
    ran = subprocess.run([sys.executable, "-c", PROGRAM, "25", str(seed)], capture_output=True, text=True, timeout=600)
    *wrong, tried = ran.stdout.splitlines()
    assert not wrong and ran.returncode == 0, "\n".join([*wrong, ran.stderr[-2000:]])
    assert int(tried) > 700


@pytest.mark.parametrize("operate", [lambda t: 0 @ t, lambda t: t @ 0, lambda t: 1j @ t, lambda t: t.__rmatmul__(2).shape])
def test_a_number_is_no_matrix(operate):
    with pytest.raises((TypeError, AttributeError)):
        operate(torch.zeros(2, 3))


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda t: t[2**70], ValueError),
        (lambda t: t.size(2**70), ValueError),
        (lambda t: t.stride(-(2**70)), ValueError),
        (lambda t: torch.Size([2**70]), ValueError),
        (lambda t: torch.zeros(2**70), TypeError),
        (lambda t: torch.zeros((2, 2**70)), TypeError),
        (lambda t: t + 2**70, OverflowError),
        (lambda t: torch.tensor(1.0).stride(0), IndexError),
        (lambda t: torch.zeros(2, requires_grad=t), RuntimeError),
        (lambda t: torch.tensor([2.0], requires_grad=t), RuntimeError),
        (lambda t: torch.set_grad_enabled(t), RuntimeError),
    ],
)
def test_numbers_and_truths_that_are_none(call, error):
    before = torch.is_grad_enabled()
    with pytest.raises(error):
        call(torch.zeros(2, 3))
    assert torch.is_grad_enabled() is before


def test_bounds_of_slices_may_be_beyond_every_number():
    t = torch.arange(4)
    assert t[-(2**70) : 2**70].tolist() == [0, 1, 2, 3]
    assert t[2**70 :].tolist() == [] and t[: -(2**70)].tolist() == []


@pytest.mark.parametrize("given", [3, "text", (3,), (None, 3), [object()], torch.ones(7), (torch.ones(7), torch.ones(7), torch.ones(7))])
def test_hooks_that_give_something_else(given):
    def hooked(register):
        x = torch.ones(2, requires_grad=True)
        y = x * x
        register(y)
        return y.sum()

    for register in (
        lambda y: y.register_hook(lambda g: given),
        lambda y: y.grad_fn.register_prehook(lambda g: given),
        lambda y: y.grad_fn.register_hook(lambda g, h: given),
    ):
        total = hooked(register)
        with pytest.raises((TypeError, RuntimeError)):
            total.backward()


@pytest.mark.parametrize("lists", [((3,), (None,), ()), ((), (None,), ()), ((None,), (None,), ()), ("total", ("text",), ()), ("total", (None,), (4,)), ("total", (None,), (None,))])
def test_a_backward_run_of_something_else(lists):
    x = torch.ones(2, requires_grad=True)
    total = (x * x).sum()
    roots, grads, inputs = ((total,) if part == "total" else part for part in lists)
    with pytest.raises((TypeError, ValueError)):
        torch._C.run_backward(roots, grads, inputs, False, False)
    total.backward()
    assert x.grad.tolist() == [2.0, 2.0]


def test_a_process_may_end_with_hooks_of_saved_tensors_on():
    program = """
import flambeau as torch
hooks = torch.autograd.graph.saved_tensors_hooks(lambda t: t, lambda t: t)
hooks.__enter__()
kept = torch.ones(2, requires_grad=True) * torch.ones(2, requires_grad=True)
print("end")
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert (ran.returncode, ran.stdout) == (0, "end\n"), ran.stderr

"""Several threads, several processes: gradients add up, forks compute, results are the same bits for any thread count."""

import ctypes
import os
import subprocess
import sys
import threading

import pytest

import flambeau as torch
from flambeau import nn
from flambeau.utils import data


@pytest.fixture
def four_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    yield
    torch.set_num_threads(before)


def together(count, work):
    """Runs work(0..count-1) at the same time; what one raises is raised here."""
    errors, gate = [], threading.Barrier(count)

    def run(i):
        try:
            gate.wait()
            work(i)
        except BaseException as error:
            errors.append(error)

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    threads = [threading.Thread(target=run, args=(i,)) for i in range(count)]
    try:
        for t in threads:
            t.start()
        for t in threads:
            t.join()
    finally:
        sys.setswitchinterval(before)
    if errors:
        raise errors[0]


@pytest.mark.parametrize("size", [1000, 3_000_000])
def test_gradients_of_threads_add_up(four_threads, size):
    weight = torch.ones(size, requires_grad=True)

    def work(i):
        for _ in range(8):
            (weight * (i + 1)).sum().backward()

    for _ in range(3):
        weight.grad = None
        together(4, work)
        assert weight.grad.min().item() == weight.grad.max().item() == 8 * (1 + 2 + 3 + 4)


def test_gradients_taken_away_meanwhile(four_threads):
    weight = torch.ones(200_000, requires_grad=True)

    def work(i):
        for _ in range(60):
            if i == 0:
                weight.grad = None
            else:
                (weight * 2).sum().backward()

    together(3, work)
    weight.grad = None
    (weight * 2).sum().backward()
    assert weight.grad.max().item() == 2


def test_one_graph_from_several_threads(four_threads):
    x = torch.ones(100_000, requires_grad=True)
    y = (x * 3).exp().sum()
    seen = []

    def work(i):
        for _ in range(10):
            (g,) = torch.autograd.grad(y, x, retain_graph=True)
            seen.append(g[::50_000].tolist())

    together(4, work)
    assert len(seen) == 40 and all(entry == seen[0] for entry in seen)


def test_hooks_and_the_collector_from_several_threads(four_threads):
    import gc

    def work(i):
        for _ in range(20):
            x = torch.ones(20_000, requires_grad=True)
            y = x * 2
            y.register_hook(lambda g, y=y: None)
            y.sum().backward()
            assert x.grad[0].item() == 2
            if i == 0:
                gc.collect()

    together(4, work)


def test_a_hook_that_runs_backward_itself():
    x = torch.ones(3, requires_grad=True)

    def hook(leaf):
        if leaf.grad[0].item() < 3:
            with torch.enable_grad():
                again = (leaf * 1).sum()
            again.backward()

    x.register_post_accumulate_grad_hook(hook)
    (x * 1).sum().backward()
    assert x.grad.tolist() == [3, 3, 3]


def training(seed, steps):
    """A whole small training: batches from a loader, dropout, backward, clipping, a step; the losses, of numbers drawn here alone."""
    own = torch.Generator().manual_seed(seed)
    model = nn.Sequential(nn.Conv1d(2, 4, 3, padding=1), nn.BatchNorm1d(4), nn.ReLU(), nn.Flatten(), nn.Linear(64, 3))
    recurrent = nn.LSTM(2, 4)
    with torch.no_grad():
        for p in [*model.parameters(), *recurrent.parameters()]:
            p.uniform_(-0.3, 0.3, generator=own)
    points = torch.rand(24, 2, 16, generator=own)
    loader = data.DataLoader(data.TensorDataset(points, torch.arange(24) % 3), batch_size=8, shuffle=True, generator=own)
    parameters = [*model.parameters(), *recurrent.parameters()]
    optimizer = [torch.optim.SGD, torch.optim.AdamW][seed % 2](parameters, lr=0.01)
    losses = []
    for _ in range(steps):
        for x, y in loader:
            optimizer.zero_grad()
            hidden, _ = recurrent(x.permute(2, 0, 1))
            noise = nn.functional.dropout(torch.randn(2000)).sum() * 0  # of the numbers that all threads draw from
            loss = nn.functional.cross_entropy(model(x), y) + hidden.square().mean() + noise
            loss.backward()
            nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()
            losses.append(loss.item())
    return losses


def test_trainings_at_the_same_time_do_not_touch_each_other(four_threads):
    alone = [training(seed, 3) for seed in range(2)]
    assert len(alone[0]) == 9 and alone[0] != alone[1]
    beside = [None, None]

    def work(i):
        beside[i] = training(i, 3)

    together(2, work)
    assert beside == alone


DRAWING = """
import os, sys, threading
import flambeau as torch
torch.set_num_threads(4)
sys.setswitchinterval(1e-5)
own, go_on = torch.Generator(), True

def work(i):
    for _ in range(40):
        torch.rand(200_000), torch.nn.functional.dropout(torch.ones(200_000)), torch.randint(0, 9, (200_000,))
        torch.rand(200_000, generator=own), torch.randperm(1000)
        if i == 0:
            torch.manual_seed(3), torch.get_rng_state()

threads = [threading.Thread(target=work, args=(i,)) for i in range(3)]
[t.start() for t in threads]
for _ in range(6):
    child = os.fork()
    if child == 0:
        os._exit(0 if 0 <= torch.rand(200_000).min() and 0 <= torch.rand(200_000, generator=own).min() else 1)
    assert os.waitpid(child, 0)[1] == 0
[t.join() for t in threads]
torch.manual_seed(3)
first = torch.rand(5)
torch.manual_seed(3)
assert torch.equal(first, torch.rand(5))
print("done")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_threads_that_draw_numbers_wait_for_each_other_and_no_longer():
    """Drawing many numbers is parallel: who waits for the generator may not hold what the drawing thread comes back to."""
    done = subprocess.run([sys.executable, "-c", DRAWING], capture_output=True, text=True, timeout=240, check=False)
    assert done.stdout == "done\n", done.stderr[-2000:]


def test_the_gamma_function_leaves_the_variable_of_its_sign_alone():
    """C's lgamma writes it, for whichever thread comes last: another library's threads may be about to read theirs."""
    try:
        sign = ctypes.c_int.in_dll(ctypes.CDLL("libm.so.6"), "signgam")
    except (OSError, ValueError):
        pytest.skip("no such variable here")
    sign.value = 7
    x = torch.tensor([-0.5, 0.5, 2.5])
    torch.lgamma(x), torch.special.gammainc(x.abs(), x.abs()), torch.special.gammaln(x.double())
    assert sign.value == 7


# ---- fork ----


def in_child(work):
    """Forks; whether work() in the child returned true."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            status = 0 if work() else 2
        finally:
            os._exit(status)
    return os.waitpid(child, 0)[1] == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_child_computes_with_threads(four_threads):
    x = torch.ones(600, 600, requires_grad=True)

    def step():
        return torch.autograd.grad((x @ x).relu().sum() + x.exp().sum(), x)[0]

    expected = step()
    assert in_child(lambda: torch.equal(step(), expected) and torch.equal(step(), expected))
    assert in_child(lambda: in_child(lambda: torch.equal(step(), expected)))
    assert torch.equal(step(), expected)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_fork_while_other_threads_compute(four_threads):
    x = torch.ones(400_000, requires_grad=True)
    go_on = True

    def busy():
        while go_on:
            (x * 2).sum().backward()

    threads = [threading.Thread(target=busy) for _ in range(2)]
    for t in threads:
        t.start()
    try:
        for _ in range(8):

            def work():
                y = torch.ones(400_000, requires_grad=True)
                (y * 3).sum().backward()
                (x * 2).sum().backward()  # into the leaf that another thread may be in the midst of
                return y.grad.max().item() == 3 and bool(torch.isfinite(x.grad).all())

            assert in_child(work)
    finally:
        go_on = False
        for t in threads:
            t.join()


class Products(data.Dataset):
    def __len__(self):
        return 6

    def __getitem__(self, index):
        x = torch.full((300, 300), float(index), requires_grad=True)
        (x @ x).sum().backward()
        return x.grad.sum()


def test_workers_of_a_loader_compute_with_threads(four_threads):
    here = [b.tolist() for b in data.DataLoader(Products(), batch_size=2)]  # the pool is running now
    there = [b.tolist() for b in data.DataLoader(Products(), batch_size=2, num_workers=2)]
    assert here == there


# ---- the same bits for any number of threads ----


def network():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(16, 32, 3, groups=4),
        nn.GroupNorm(4, 32), nn.GELU(), nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(512, 128), nn.LayerNorm(128),
        nn.Dropout(0.2), nn.Tanh(), nn.Linear(128, 10),
    )  # fmt: skip


def trained(optimizer):
    model = network()
    torch.manual_seed(1)
    images, labels = torch.randn(24, 3, 28, 28), torch.randint(0, 10, (24,))
    step = getattr(torch.optim, optimizer)(model.parameters(), lr=0.01)
    for _ in range(3):
        step.zero_grad()
        loss = nn.functional.cross_entropy(model(images), labels)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        step.step()
    return [loss.detach(), *(p.detach().clone() for p in model.parameters())]


def sequence():
    torch.manual_seed(0)
    table, cell = nn.Embedding(50, 32), nn.LSTM(32, 48, num_layers=2, batch_first=True)
    hidden = cell(table(torch.randint(0, 50, (16, 20))))[0]
    mixed = nn.functional.scaled_dot_product_attention(hidden, hidden, hidden)
    (mixed.softmax(-1) * hidden).sum().backward()
    return [mixed.detach(), *(p.grad for m in (table, cell) for p in m.parameters())]


WORK = {
    "SGD": lambda: trained("SGD"),
    "AdamW": lambda: trained("AdamW"),
    "sequence": sequence,
    "sums": lambda: [t(torch.linspace(-3, 3, 1_000_003)) for t in (torch.sum, torch.mean, torch.var, torch.norm)],
}


@pytest.mark.parametrize("name", sorted(WORK))
def test_the_same_bits_for_any_number_of_threads(name):
    before = torch.get_num_threads()
    try:
        results = []
        for threads in (1, 2, 4):
            torch.set_num_threads(threads)
            results.append([t.numpy().tobytes() for t in WORK[name]()])
    finally:
        torch.set_num_threads(before)
    assert results[0] == results[1] == results[2]

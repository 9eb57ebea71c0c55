"""Module: registration, attributes, traversal, conversion, hooks, copies and text form."""

import copy
import pickle

import pytest

import flambeau as torch
from flambeau import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden = nn.Linear(10, 32)
        self.blocks = nn.ModuleList([nn.Linear(32, 4)])
        self.register_buffer("steps", torch.zeros(1))
        self.register_buffer("scratch", torch.zeros(1), persistent=False)

    def forward(self, x):
        return self.blocks[0](torch.relu(self.hidden(x)))


def test_names_follow_registration():
    net = Net()
    assert [name for name, _ in net.named_parameters()] == [
        "hidden.weight", "hidden.bias", "blocks.0.weight", "blocks.0.bias",
    ]
    assert [name for name, _ in net.named_buffers()] == ["steps", "scratch"]
    assert [name for name, _ in net.named_modules()] == ["", "hidden", "blocks", "blocks.0"]
    assert list(net.state_dict()) == [
        "steps", "hidden.weight", "hidden.bias", "blocks.0.weight", "blocks.0.bias",
    ]


def test_shared_parameters_come_once():
    net = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    net[1].weight = net[0].weight
    assert len(list(net.parameters())) == 3
    assert len(list(net.named_parameters(remove_duplicate=False))) == 4


@pytest.mark.parametrize(
    ("action", "error", "words"),
    [
        (lambda m: m.missing, AttributeError, "'Linear' object has no attribute 'missing'"),
        (lambda m: setattr(m, "weight", torch.ones(2)), TypeError, "cannot assign 'torch.FloatTensor' as parameter"),
        (lambda m: m.register_parameter("a.b", None), KeyError, "t contain"),
        (lambda m: m.register_parameter("", None), KeyError, "t be empty string"),
        (lambda m: m.register_parameter("training", None), KeyError, "attribute 'training' already exists"),
        (lambda m: m.register_buffer("b", 3), TypeError, "torch Tensor or None required"),
        (lambda m: m.add_module("child", 3), TypeError, "int is not a Module subclass"),
        (lambda m: m.to(torch.int64), TypeError, "only accepts floating point or complex dtypes"),
        (lambda m: m.train(1), ValueError, "training mode is expected to be boolean"),
        (lambda m: m.get_submodule("x.y"), AttributeError, "has no attribute `x`"),
        (lambda m: m.get_parameter("in_features"), AttributeError, "is not an nn.Parameter"),
        (lambda m: m.load_state_dict(3), TypeError, "Expected state_dict to be dict-like"),
        (lambda m: nn.Module()(1), NotImplementedError, 'missing the required "forward" function'),
    ],
)
def test_errors(action, error, words):
    with pytest.raises(error, match=words):
        action(nn.Linear(3, 2))


def test_assignment_before_init():
    class Early(nn.Module):
        def __init__(self):
            self.weight = nn.Parameter(torch.ones(1))

    with pytest.raises(AttributeError, match=r"before Module.__init__\(\) call"):
        Early()


def test_attribute_changes_kind():
    module = nn.Module()
    module.x = 3
    module.x = nn.Parameter(torch.ones(2))
    assert "x" in module._parameters and "x" not in module.__dict__
    module.x = None
    assert module.x is None and "x" in module._parameters
    del module.x
    assert not hasattr(module, "x")


def test_load_state_dict_lists_everything():
    net = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    state = net.state_dict()
    state["extra"] = torch.ones(1)
    del state["1.running_mean"]
    state["0.bias"] = torch.ones(7)
    with pytest.raises(RuntimeError) as caught:
        net.load_state_dict(state)
    assert str(caught.value) == (
        "Error(s) in loading state_dict for Sequential:\n"
        '\tMissing key(s) in state_dict: "1.running_mean". \n'
        '\tUnexpected key(s) in state_dict: "extra". \n'
        "\tsize mismatch for 0.bias: copying a param with shape torch.Size([7]) from checkpoint, "
        "the shape in current model is torch.Size([2])."
    )
    kept = net.load_state_dict({"0.weight": torch.zeros(2, 3)}, strict=False)
    assert "0.bias" in kept.missing_keys and float(net[0].weight.abs().sum()) == 0.0


def test_load_assign_keeps_the_tensor():
    layer = nn.Linear(2, 2)
    weight = nn.Parameter(torch.ones(2, 2))
    assert repr(layer.load_state_dict({"weight": weight, "bias": torch.ones(2)}, assign=True)) == (
        "<All keys matched successfully>"
    )
    assert layer.weight is weight and isinstance(layer.bias, nn.Parameter)


def test_conversion_keeps_identity():
    net = Net()
    weight = net.hidden.weight
    net.double()
    assert net.hidden.weight is weight and weight.dtype == torch.float64 and net.steps.dtype == torch.float64


def test_modes_and_gradients():
    net = Net().eval()
    assert not any(module.training for module in net.modules())
    net(torch.ones(1, 10)).sum().backward()
    net.zero_grad()
    assert all(parameter.grad is None for parameter in net.parameters())
    net.requires_grad_(False)
    assert not net(torch.ones(1, 10)).requires_grad


def test_forward_hooks_in_order():
    layer, log = nn.Linear(3, 2), []
    layer.register_forward_pre_hook(lambda m, a: log.append("pre"))
    layer.register_forward_pre_hook(lambda m, a, k: (a, {}), with_kwargs=True)
    layer.register_forward_pre_hook(lambda m, a: log.append("first"), prepend=True)
    handle = layer.register_forward_hook(lambda m, a, out: out * 0)
    out = layer(torch.ones(1, 3))
    assert log == ["first", "pre"] and float(out.abs().sum()) == 0.0
    handle.remove()
    assert float(layer(torch.ones(1, 3)).abs().sum()) > 0.0


def test_always_called_hook_runs_after_an_exception():
    layer, log = nn.Linear(3, 2), []
    layer.register_forward_hook(lambda m, a, out: log.append(out), always_call=True)
    with pytest.raises(RuntimeError):
        layer(torch.ones(1, 4))
    assert log == [None]


def test_full_backward_hooks_change_gradients():
    layer, seen = nn.Linear(2, 2, bias=False), []
    with torch.no_grad():
        layer.weight.copy_(torch.eye(2))
    layer.register_full_backward_pre_hook(lambda m, grad_output: (grad_output[0] * 2,))
    layer.register_full_backward_hook(lambda m, gi, go: seen.append((gi[0].tolist(), go[0].tolist())))
    layer.register_full_backward_hook(lambda m, gi, go: (gi[0] * 10,))
    x = torch.ones(1, 2, requires_grad=True)
    layer(x).sum().backward()
    assert seen == [([[2.0, 2.0]], [[2.0, 2.0]])]
    assert x.grad.tolist() == [[20.0, 20.0]] and layer.weight.grad.tolist() == [[2.0, 2.0], [2.0, 2.0]]


def test_global_hook_is_removed():
    log = []
    handle = nn.modules.module.register_module_forward_hook(lambda m, a, out: log.append(type(m).__name__))
    net = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    net(torch.ones(1, 2))
    handle.remove()
    net(torch.ones(1, 2))
    assert log == ["Linear", "ReLU", "Sequential"]


def test_state_dict_hooks():
    layer = nn.Linear(2, 2)
    layer.register_state_dict_post_hook(lambda m, state, prefix, meta: state.pop(prefix + "bias"))
    with pytest.raises(RuntimeError, match="must return None"):
        layer.state_dict()
    layer = nn.Linear(2, 2)
    layer.register_load_state_dict_pre_hook(lambda m, state, prefix, *rest: state.setdefault("bias", torch.ones(2)))
    layer.register_load_state_dict_post_hook(lambda m, keys: keys.missing_keys.clear())
    layer.load_state_dict({"weight": torch.ones(2, 2)})
    assert layer.bias.tolist() == [1.0, 1.0]


@pytest.mark.parametrize("way", [copy.deepcopy, lambda module: pickle.loads(pickle.dumps(module))])
def test_copies(way):
    net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU()).eval()
    again = way(net)
    x = torch.ones(2, 3)
    assert again(x).tolist() == net(x).tolist()
    assert again[0].weight is not net[0].weight and isinstance(again[0].weight, nn.Parameter)


def test_text_form():
    net = nn.Sequential(nn.Linear(1, 2), nn.ModuleList([nn.ReLU(), nn.ReLU()]))
    assert repr(net) == (
        "Sequential(\n"
        "  (0): Linear(in_features=1, out_features=2, bias=True)\n"
        "  (1): ModuleList(\n"
        "    (0-1): 2 x ReLU()\n"
        "  )\n"
        ")"
    )


def test_exception_notes_name_the_path():
    net = Net()
    with pytest.raises(RuntimeError) as caught:
        net(torch.ones(4, 20))
    assert caught.value.__notes__ == ["in Net.hidden (Linear(10, 32)), input (4, 20) float32"]
    outer = nn.Sequential(nn.ReLU(), nn.ModuleDict({"net": net})["net"])
    with pytest.raises(RuntimeError) as caught:
        outer(torch.ones(4, 20))
    assert caught.value.__notes__ == ["in Sequential.1.hidden (Linear(10, 32)), input (4, 20) float32"]


def test_notes_reach_through_lists():
    net = Net()
    net.blocks[0] = nn.Linear(5, 5)
    with pytest.raises(RuntimeError) as caught:
        net(torch.ones(4, 10))
    assert caught.value.__notes__ == ["in Net.blocks.0 (Linear(5, 5)), input (4, 32) float32"]


def test_lazy_layers_learn_their_sizes():
    net = nn.Sequential(nn.LazyConv2d(4, 3), nn.LazyBatchNorm2d(), nn.Flatten(), nn.LazyLinear(2))
    with pytest.raises(RuntimeError, match="uninitialized parameter"):
        _ = net[3].weight.shape
    assert tuple(net(torch.ones(2, 3, 5, 5)).shape) == (2, 2)
    assert [type(module).__name__ for module in net] == ["Conv2d", "BatchNorm2d", "Flatten", "Linear"]
    assert tuple(net[3].weight.shape) == (2, 36)

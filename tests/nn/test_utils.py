"""nn.utils: clipping, parametrizations, pruning, fusion, calls with other parameters."""

import copy
import pickle
import warnings

import pytest

import flambeau as torch
from flambeau import nn
from flambeau.nn.utils import fusion, parametrizations, parametrize, prune, stateless


def test_clipping():
    weight = nn.Parameter(torch.zeros(2))
    weight.grad = torch.tensor([3.0, 4.0])
    assert float(nn.utils.clip_grad_norm_([weight], 1.0)) == pytest.approx(5.0)
    assert weight.grad.tolist() == pytest.approx([0.6, 0.8], abs=1e-5)
    nn.utils.clip_grad_value_(weight, 0.7)
    assert weight.grad.tolist() == pytest.approx([0.6, 0.7], abs=1e-5)


def test_vector_round_trip():
    layer = nn.Linear(3, 2)
    vector = nn.utils.parameters_to_vector(layer.parameters())
    nn.utils.vector_to_parameters(vector.detach() * 2, layer.parameters())
    assert layer.bias.tolist() == (vector[6:] * 2).tolist()


class Symmetric(nn.Module):
    def forward(self, x):
        return x.triu() + x.triu(1).transpose(-1, -2)

    def right_inverse(self, x):
        return x.triu()


def test_parametrization():
    layer = nn.Linear(3, 3)
    parametrize.register_parametrization(layer, "weight", Symmetric())
    weight = layer.weight
    assert weight.tolist() == weight.t().tolist()
    assert type(layer).__name__ == "ParametrizedLinear" and parametrize.is_parametrized(layer, "weight")
    assert "parametrizations.weight.original" in layer.state_dict()
    layer.weight = torch.eye(3)
    assert layer.weight.tolist() == torch.eye(3).tolist()
    with parametrize.cached():
        assert layer.weight is layer.weight
    assert copy.deepcopy(layer).weight.tolist() == torch.eye(3).tolist()
    with pytest.raises(RuntimeError, match="only supported through state_dict"):
        pickle.dumps(layer)
    parametrize.remove_parametrizations(layer, "weight")
    assert type(layer) is nn.Linear and isinstance(layer.weight, nn.Parameter)


@pytest.mark.xfail(strict=True, reason="the core has no QR and SVD yet")
def test_ready_parametrizations():
    torch.manual_seed(0)
    layer = parametrizations.weight_norm(nn.Linear(3, 2))
    assert [name for name, _ in layer.named_parameters()] == [
        "bias", "parametrizations.weight.original0", "parametrizations.weight.original1",
    ]
    layer = parametrizations.spectral_norm(nn.Linear(6, 4), n_power_iterations=50)
    assert float(torch.linalg.matrix_norm(layer.weight, 2)) == pytest.approx(1.0, abs=1e-3)
    for shape in ((3, 3), (3, 5), (5, 3)):
        weight = parametrizations.orthogonal(nn.Linear(*shape)).weight.detach()
        small = weight @ weight.t() if shape[1] <= shape[0] else weight.t() @ weight
        assert float((small - torch.eye(min(shape))).abs().max()) < 1e-5


def test_older_norms():
    x = torch.ones(2, 3)
    layer = nn.Linear(3, 2)
    before = layer(x)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        nn.utils.weight_norm(layer)
    assert float((layer(x) - before).abs().max()) < 1e-6
    assert list(layer.state_dict()) == ["bias", "weight_g", "weight_v"]
    nn.utils.remove_weight_norm(layer)
    assert list(layer.state_dict()) == ["bias", "weight"]


def test_pruning():
    layer = nn.Linear(4, 2)
    prune.l1_unstructured(layer, "weight", amount=3)
    prune.random_unstructured(layer, "weight", amount=2)
    assert int((layer.weight == 0).sum()) == 5
    assert list(layer.state_dict()) == ["bias", "weight_orig", "weight_mask"]
    prune.remove(layer, "weight")
    assert int((layer.weight == 0).sum()) == 5 and not prune.is_pruned(layer)
    with pytest.raises(ValueError, match="smaller than the number of parameters to prune"):
        prune.l1_unstructured(layer, "weight", amount=9)
    assert isinstance(layer.weight, nn.Parameter)


def test_fusion():
    torch.manual_seed(0)
    conv, norm = nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3)
    net = nn.Sequential(conv, norm)
    net(torch.randn(4, 2, 5, 5))
    net.eval()
    x = torch.randn(1, 2, 6, 6)
    assert float((fusion.fuse_conv_bn_eval(conv, norm)(x) - net(x)).abs().max()) < 1e-5


def test_functional_call_gives_back():
    net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    net[1].weight = net[0].weight
    own = net[0].weight
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        values = {"0.weight": torch.eye(2), "0.bias": torch.zeros(2), "1.bias": torch.zeros(2)}
        assert stateless.functional_call(net, values, torch.tensor([[1.0, 2.0]])).tolist() == [[1.0, 2.0]]
        with pytest.raises(RuntimeError, match="Error"):
            stateless.functional_call(net, {"0.weight": torch.eye(2)}, torch.ones(1, 2), strict=True)
    assert net[0].weight is own and net[1].weight is own


def test_functions_are_not_hidden_by_their_rooms():
    assert callable(nn.utils.remove_weight_norm) and callable(nn.utils.weight_norm)
    assert callable(nn.utils.remove_spectral_norm) and callable(nn.utils.spectral_norm)

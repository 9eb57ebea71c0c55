"""erf of float32 is within three units in the last place everywhere: also where one piece of its formula meets the next."""

import math

import flambeau as torch


def test_erf_is_accurate_everywhere():
    values = [i / 4096 for i in range(-5 * 4096, 5 * 4096)] + [10.0**-e for e in range(46)]
    x = torch.tensor(values)
    for value, got in zip(x.tolist(), torch.erf(x).tolist()):
        want = math.erf(value)
        assert abs(got - want) <= 3 * 2.0 ** max(math.frexp(want)[1] - 24, -149), value
        assert abs(got) <= 1


def test_erf_of_special_values():
    x = torch.tensor([0.0, -0.0, 4.0, -4.0, math.inf, -math.inf, 3.4e38])
    got = torch.erf(x).tolist()
    assert got == [0, 0, 1, -1, 1, -1, 1]
    assert math.copysign(1, got[1]) == -1
    assert math.isnan(torch.erf(torch.tensor([math.nan])).item())

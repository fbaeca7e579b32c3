"""PyTorch: vectorised, float64, eager, as it is mostly used."""

from types import SimpleNamespace

import torch

from ._problems import call_price, heston_payoff, mlp_matrix_loss

NAME = "PyTorch"
WAYS = {"vectorised": False, "scalars": False}
PACKAGE = "torch"


def maximum(x, bound):
    return torch.clamp(x, min=bound)


M = SimpleNamespace(
    exp=torch.exp, log=torch.log, sqrt=torch.sqrt, maximum=maximum, cdf=lambda x: 0.5 * (1 + torch.erf(x * 0.5**0.5))
)


def leaf(x):
    return torch.from_numpy(x.copy()).requires_grad_()


def mlp(data, how):
    torch.set_num_threads(how.threads)
    X, y, w = torch.from_numpy(data.X), torch.from_numpy(data.y), leaf(data.w_new)

    def run():
        loss = mlp_matrix_loss(w, X, y, maximum)
        return loss, torch.autograd.grad(loss, w)[0]

    return run


def black_scholes(data, how):
    torch.set_num_threads(how.threads)
    columns = [leaf(x) for x in data.columns]

    def run():
        price = call_price(*columns, M)
        return price, torch.autograd.grad(price.sum(), columns)

    return run


def heston(data, how):
    torch.set_num_threads(how.threads)
    z1, z2 = (torch.from_numpy(z.T.copy()) for z in (data.z1, data.z2))
    p = [torch.tensor(x, dtype=torch.float64, requires_grad=True) for x in data.p.tolist()]

    def run():
        mean = heston_payoff(p, z1, z2, M).mean()
        return mean, torch.autograd.grad(mean, p)

    return run


def numbers(result):
    value, gradient = result
    return value.detach().numpy(), torch.stack(list(gradient)).numpy() if isinstance(
        gradient, tuple
    ) else gradient.numpy()

"""PyTorch: eager, float64; whole arrays, as it is mostly used, and number by number, as tensors of no dimension."""

from types import SimpleNamespace

import torch
from tapegrad.bench.peers import _arrays as arrays

from tapegrad.bench.problems import advection
from tapegrad.bench.problems.mlp import mlp_matrix_loss
from tapegrad.bench.rival import Functions, Scalars, for_ways

NAME = "PyTorch"
PACKAGE = "torch"
WAYS = {"vectorised": False, "scalars": False}

vectorised = for_ways("vectorised")


def maximum(x, bound):
    return torch.maximum(x, bound) if isinstance(bound, torch.Tensor) else torch.clamp(x, min=bound)


FUNCTIONS = {
    "exp": torch.exp,
    "log": torch.log,
    "sqrt": torch.sqrt,
    "sin": torch.sin,
    "cos": torch.cos,
    "tanh": torch.tanh,
    "erfc": torch.erfc,
    "maximum": maximum,
}
M = SimpleNamespace(
    **FUNCTIONS,
    einsum=torch.einsum,
    prod=torch.prod,
    logsumexp=torch.logsumexp,
    roll=lambda x, by: torch.roll(x, by, 0),
    least=lambda x: torch.amin(x, 1),
    joined=torch.cat,
)


def tensor(x):
    return torch.tensor(x, dtype=torch.float64)


def leaf(x):
    return tensor(x).requires_grad_()


def stacked(xs):
    return torch.stack(xs) if isinstance(xs[0], torch.Tensor) else tensor(xs)


SCALARS = Functions(
    "PyTorch",
    **FUNCTIONS,
    relu=torch.relu,
    sum=lambda xs: stacked(xs).sum(),
    dot=lambda xs, ys: torch.dot(stacked(xs), stacked(ys)),
)


def gradient(y, xs):
    return y.item(), torch.autograd.grad(y, xs, materialize_grads=True)


@for_ways("scalars")
def scalars(how):
    torch.set_num_threads(how.threads)
    return Scalars(leaf, gradient, SCALARS)


def at_point(f, case, how, *data):
    torch.set_num_threads(how.threads)
    x, data = leaf(case.x), [tensor(d) for d in data]

    def run():
        y = f(x, *data)
        return y.detach(), torch.autograd.grad(y, x)[0]

    return run


@vectorised
def rosenbrock(case, how):
    return at_point(lambda x: arrays.rosenbrock(x, M), case, how)


@vectorised
def mlp(case, how):
    return at_point(lambda w, X, y: mlp_matrix_loss(w, X, y, M), case, how, case.data.X, case.data.y)


@vectorised
def speelpenning(case, how):
    return at_point(torch.prod, case, how)


@vectorised
def log_sum_exp(case, how):
    return at_point(lambda x: torch.logsumexp(x, 0), case, how)


@vectorised
def least_squares(case, how):
    return at_point(lambda x, A, b: arrays.least_squares(x, A, b, M), case, how, *case.data)


@vectorised
def gmm(case, how):
    f = lambda x, points, below: arrays.gmm(x, points, below, M)  # noqa: E731
    return at_point(f, case, how, case.data, arrays.BELOW)


@vectorised
def k_means(case, how):
    return at_point(lambda x, points: arrays.k_means(x, points, M), case, how, case.data)


@vectorised
def lstm(case, how):
    zeros = torch.zeros(case.data.shape[1], dtype=torch.float64)
    return at_point(lambda x, s: arrays.lstm(x, s, [(zeros, zeros)] * 2, M), case, how, case.data)


@vectorised
def black_scholes(case, how):
    torch.set_num_threads(how.threads)
    columns = [leaf(x) for x in case.columns]

    def run():
        prices = case.program(*columns, M)
        return prices.detach(), torch.autograd.grad(prices.sum(), columns)

    return run


@vectorised
def heston(case, how):
    torch.set_num_threads(how.threads)
    z1, z2 = (tensor(z.T.copy()) for z in case.columns)
    p = [leaf(x) for x in case.shared]

    def run():
        mean = case.program(p, z1, z2, M).mean()
        return mean.detach(), torch.autograd.grad(mean, p)

    return run


def advected(step, case, how):
    torch.set_num_threads(how.threads)
    q, target = leaf(case.columns[0].T.copy()), tensor(advection.TARGET)

    def run():
        costs = arrays.advected(step, q, target, M)
        return costs.detach(), torch.autograd.grad(costs.sum(), q)[0].T

    return run


@vectorised
def lax_wendroff(case, how):
    return advected(arrays.lax_wendroff_step, case, how)


@vectorised
def toon(case, how):
    return advected(arrays.toon_step, case, how)


@vectorised
def bundle_adjustment(case, how):
    """The program as it is, on columns of all observations; each error summed up, as observations do not mix."""
    torch.set_num_threads(how.threads)
    camera, point, weight = ([leaf(x) for x in columns.reshape(case.samples, -1).T] for columns in case.columns[:3])
    seen = [tensor(x) for x in case.columns[3].T]

    def run():
        u, v = case.program(camera, point, weight[0], seen, M)
        by = [*camera, *point, *weight]
        first = torch.autograd.grad(u.sum(), by, retain_graph=True, materialize_grads=True)
        rows = first, torch.autograd.grad(v.sum(), by, materialize_grads=True)
        return None, torch.stack([torch.stack(row, 1) for row in rows], 1)

    return run

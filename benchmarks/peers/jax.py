"""jax: vectorised, float64, jit; loops as scans, samples by vmap.

A program of thousands of scalars takes it minutes to compile, so programs are put to it as arrays or not at all.
"""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import erfc
from tapegrad.bench.peers import _arrays as arrays

from tapegrad.bench.problems import advection
from tapegrad.bench.problems.lstm import FEATURES, LAYERS, ROWS
from tapegrad.bench.problems.mlp import mlp_matrix_loss

jax.config.update("jax_enable_x64", True)

NAME = "jax"
PACKAGE = "jax"
WAYS = {"jit, vectorised": True}

M = SimpleNamespace(
    exp=jnp.exp,
    log=jnp.log,
    sqrt=jnp.sqrt,
    sin=jnp.sin,
    cos=jnp.cos,
    tanh=jnp.tanh,
    erfc=erfc,
    maximum=jnp.maximum,
    einsum=jnp.einsum,
    prod=jnp.prod,
    logsumexp=lambda x, axis: jax.nn.logsumexp(x, axis=axis),
    roll=lambda x, by: jnp.roll(x, by, axis=0),
    least=lambda x: jnp.min(x, axis=1),
    joined=jnp.concatenate,
)


def ready(f, *x):
    """A call that waits for its result."""
    x = [jax.tree.map(jnp.asarray, given) for given in x]
    return lambda: jax.block_until_ready(f(*x))


def at_point(f, case, *data):
    """`data` are arguments, as constants would be folded while compiling."""
    f = jax.jit(jax.value_and_grad(f))
    ready(f, np.array(case.elsewhere), *data)()
    return ready(f, np.array(case.x), *data)


def rosenbrock(case, how):
    return at_point(lambda x: arrays.rosenbrock(x, M), case)


def replay_chain(case, how):
    def f(x):
        a, b, shift = x
        return jax.lax.scan(lambda s, _: (jnp.sin(s * a + b) + shift, None), shift, None, length=case.data)[0]

    return at_point(f, case)


def ode(case, how):
    def f(x):
        step = lambda y, _: (arrays.ode_step(x, y, jnp.ones(1), 1 / case.data, M), None)  # noqa: E731
        y, _ = jax.lax.scan(step, jnp.zeros(len(case.x)), None, length=case.data)
        return y[-1]

    return at_point(f, case)


def mlp(case, how):
    return at_point(lambda w, X, y: mlp_matrix_loss(w, X, y, M), case, case.data.X, case.data.y)


def speelpenning(case, how):
    return at_point(jnp.prod, case)


def log_sum_exp(case, how):
    return at_point(jax.nn.logsumexp, case)


def least_squares(case, how):
    return at_point(lambda x, A, b: arrays.least_squares(x, A, b, M), case, *case.data)


def gmm(case, how):
    return at_point(lambda x, points, below: arrays.gmm(x, points, below, M), case, case.data, arrays.BELOW)


def k_means(case, how):
    return at_point(lambda x, points: arrays.k_means(x, points, M), case, case.data)


def lstm(case, how):
    def f(x, sequence):
        p = x.reshape(ROWS, FEATURES)

        def step(state, pair):
            now, after = pair
            y, state = arrays.lstm_step(p, state, now, M)
            return state, arrays.lstm_score(y, after, M)

        zeros = jnp.zeros(FEATURES)
        _, scores = jax.lax.scan(step, [(zeros, zeros)] * LAYERS, (sequence[:-1], sequence[1:]))
        return arrays.lstm_mean(scores.sum(), sequence)

    return at_point(f, case, case.data)


def black_scholes(case, how):
    f = jax.jit(jax.vmap(jax.value_and_grad(lambda *x: case.program(*x, M), argnums=(0, 1, 2, 3, 4))))
    return ready(f, *case.columns)


def heston(case, how):
    def mean(p, z1, z2):
        s0, v0, *_, rho = p
        rc = jnp.sqrt(1 - rho * rho)
        start = jnp.full(z1.shape[1], s0), jnp.full(z1.shape[1], v0)
        (s, _), _ = jax.lax.scan(lambda state, z: (arrays.heston_step(*state, p, rc, *z, M), None), start, (z1, z2))
        return arrays.heston_payoff(s, M).mean()

    return ready(jax.jit(jax.value_and_grad(mean)), case.shared, *(z.T.copy() for z in case.columns))


def advected(step, case):
    def total(q):
        q, _ = jax.lax.scan(lambda q, _: (step(q, M), None), q, None, length=advection.STEPS)
        costs = arrays.cost(q, advection.TARGET)
        return costs.sum(), costs

    run = ready(jax.jit(jax.value_and_grad(total, has_aux=True)), case.columns[0].T.copy())

    def transposed():
        (_, costs), gradients = run()
        return costs, np.asarray(gradients).T  # a view

    return transposed


def lax_wendroff(case, how):
    return advected(arrays.lax_wendroff_step, case)


def toon(case, how):
    return advected(arrays.toon_step, case)


def bundle_adjustment(case, how):
    f = jax.jit(jax.vmap(jax.jacrev(lambda *x: jnp.stack(case.program(*x, M)), argnums=(0, 1, 2))))
    run = ready(f, *case.columns)

    def joined():
        cameras, points, weights = run()
        return None, np.concatenate([cameras, points, np.asarray(weights)[:, :, None]], axis=2)

    return joined

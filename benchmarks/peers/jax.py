"""jax: vectorised, float64, jit; the steps of Heston's scheme in a scan."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
from jax.scipy.special import erf

from ._problems import RATE, STRIKE, call_price, heston_step, mlp_matrix_loss

jax.config.update("jax_enable_x64", True)

NAME = "jax"
WAYS = {"jit, vectorised": True}
PACKAGE = "jax"
M = SimpleNamespace(
    exp=jnp.exp, log=jnp.log, sqrt=jnp.sqrt, maximum=jnp.maximum, cdf=lambda x: 0.5 * (1 + erf(x * 0.5**0.5))
)


def mlp(data, how):
    X, y = jnp.asarray(data.X), jnp.asarray(data.y)
    f = jax.jit(jax.value_and_grad(lambda w: mlp_matrix_loss(w, X, y, jnp.maximum)))
    jax.block_until_ready(f(jnp.asarray(data.w)))
    w = jnp.asarray(data.w_new)
    return lambda: jax.block_until_ready(f(w))


def black_scholes(data, how):
    columns = [jnp.asarray(x) for x in data.columns]
    f = jax.jit(jax.vmap(jax.value_and_grad(lambda *x: call_price(*x, M), argnums=(0, 1, 2, 3, 4))))
    return lambda: jax.block_until_ready(f(*columns))


def heston(data, how):
    z = jnp.asarray(data.z1.T), jnp.asarray(data.z2.T)
    p = jnp.asarray(data.p)

    def mean(p, z):
        s0, v0, kappa, theta, xi, rho = p
        rc = jnp.sqrt(1 - rho * rho)
        start = jnp.full(z[0].shape[1], s0), jnp.full(z[0].shape[1], v0)
        step = lambda state, z: (heston_step(*state, kappa, theta, xi, rho, rc, *z, M), None)  # noqa: E731
        (s, _), _ = jax.lax.scan(step, start, z)
        return (jnp.maximum(s - STRIKE, 0.0) * jnp.exp(-RATE)).mean()

    f = jax.jit(jax.value_and_grad(mean))
    return lambda: jax.block_until_ready(f(p, z))

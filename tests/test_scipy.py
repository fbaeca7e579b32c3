"""scipy's optimisers take our derivatives as they stand."""

from __future__ import annotations

import numpy as np
import pytest

from tapegrad import grad, hessian, hvp, jacobian, record, value_and_grad, vmap

optimize = pytest.importorskip("scipy.optimize")

START = np.array([1.3, 0.7, 0.8, 1.9])
NEGATIVE = np.array([-1.2, 1.0, 0.7, 2.0])


def rosenbrock(x):
    return (100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2).sum()


def branchy(x):
    """Smooth, in pieces: a guard in every step of the optimiser."""
    total = 0.0
    for v in x:
        total = total + ((v - 1) ** 2 if v > 0 else 1 - 2 * v + v * v)
    return total


@pytest.mark.parametrize("method", ["BFGS", "L-BFGS-B", "CG", "TNC", "SLSQP"])
@pytest.mark.parametrize(("f", "start"), [(rosenbrock, START), (branchy, NEGATIVE)])
def test_minimize_with_value_and_gradient(method, f, start):
    options = {"maxfun": 1000} if method == "TNC" else {"maxiter": 500}
    result = optimize.minimize(value_and_grad(f), start, jac=True, method=method, options=options)
    assert result.success and result.x == pytest.approx(np.ones(4), abs=1e-3)
    own = optimize.minimize(record(f), start, jac=grad(f), method=method, options=options)
    assert np.array_equal(own.x, result.x) and own.nfev == result.nfev


@pytest.mark.parametrize("method", ["Newton-CG", "trust-exact", "trust-ncg", "trust-krylov", "dogleg"])
def test_minimize_with_hessian(method):
    start = START if method != "dogleg" else np.full(4, 1.01)  # where the Hessian is positive definite
    result = optimize.minimize(
        value_and_grad(rosenbrock), start, jac=True, hess=hessian(rosenbrock), method=method, options={"maxiter": 500}
    )
    assert result.success and result.x == pytest.approx(np.ones(4), abs=1e-4)


@pytest.mark.parametrize("method", ["Newton-CG", "trust-ncg", "trust-krylov", "trust-constr"])
def test_minimize_with_hessian_vector_products(method):
    result = optimize.minimize(
        value_and_grad(rosenbrock), START, jac=True, hessp=hvp(rosenbrock), method=method, options={"maxiter": 500}
    )
    assert result.success and result.x == pytest.approx(np.ones(4), abs=1e-4)


def test_the_derivatives_are_those_of_scipy():
    draw = np.random.default_rng(0)
    for x, v in draw.normal(size=(20, 2, 4)):
        assert value_and_grad(rosenbrock)(x)[0] == pytest.approx(optimize.rosen(x), rel=1e-13)
        assert grad(rosenbrock)(x) == pytest.approx(optimize.rosen_der(x), rel=1e-11, abs=1e-11)
        assert hessian(rosenbrock)(x) == pytest.approx(optimize.rosen_hess(x), rel=1e-11, abs=1e-11)
        assert hvp(rosenbrock)(x, v) == pytest.approx(optimize.rosen_hess_prod(x, v), rel=1e-11, abs=1e-9)


def test_minimize_with_further_arguments_and_constraints():
    def f(x, a, n):
        return a * ((x - n) ** 2).sum()

    result = optimize.minimize(value_and_grad(f), np.zeros(3), args=(2.5, 3), jac=True, method="BFGS")
    assert result.x == pytest.approx(np.full(3, 3.0), abs=1e-6)

    def inside(x):
        return 1.0 - x @ x

    constraint = {"type": "ineq", "fun": record(inside), "jac": grad(inside)}
    result = optimize.minimize(
        value_and_grad(f), np.zeros(3), args=(1.0, 3), jac=True, method="SLSQP", constraints=[constraint]
    )
    assert result.x == pytest.approx(np.full(3, 3**-0.5), abs=1e-6)
    nonlinear = optimize.NonlinearConstraint(record(inside), 0.0, np.inf, jac=grad(inside))
    result = optimize.minimize(
        lambda x: value_and_grad(f)(x, 1.0, 3), np.zeros(3), jac=True, method="SLSQP", constraints=[nonlinear]
    )
    assert result.x == pytest.approx(np.full(3, 3**-0.5), abs=1e-6)


T = np.linspace(0.0, 4.0, 40)
TRUE = np.array([2.5, 1.3, 0.5])


def model(p, t):
    return p[0] * np.exp(-p[1] * t) + p[2]


def residuals(p):
    return model(p, T) - model(TRUE, T)


@pytest.mark.parametrize("method", ["trf", "dogbox", "lm"])
def test_least_squares(method):
    result = optimize.least_squares(record(residuals), [1.0, 1.0, 0.0], jac=jacobian(residuals), method=method)
    assert result.success and result.x == pytest.approx(TRUE, rel=1e-7)


@pytest.mark.parametrize("method", ["hybr", "lm"])
def test_root(method):
    def system(x):
        return [x[0] ** 2 + x[1] ** 2 - 4.0, np.exp(x[0]) + x[1] - 1.0]

    def both(x):
        return np.array(record(system)(x)), np.array(jacobian(system)(x))

    result = optimize.root(record(system), [1.0, -1.0], jac=jacobian(system), method=method)
    assert result.success and np.array(record(system)(result.x)) == pytest.approx(np.zeros(2), abs=1e-9)
    again = optimize.root(both, [1.0, -1.0], jac=True, method=method)
    assert again.x == pytest.approx(result.x, rel=1e-12)


def test_root_scalar_by_newton_and_halley():
    def f(x):
        return x**3 - 2 * x - 5

    for how in ({"fprime": grad(f)}, {"fprime": grad(f), "fprime2": grad(grad(f))}):
        root = optimize.root_scalar(record(f), x0=2.0, **how)
        assert root.converged and root.root == pytest.approx(2.0945514815423265, rel=1e-12)


def test_curve_fit():
    def curve(t, a, b, c):
        return a * (-b * t).exp() + c

    values = vmap(curve, (0, None, None, None))
    gradient = vmap(grad(curve, (1, 2, 3)), (0, None, None, None))
    draw = np.random.default_rng(1)
    y = values(T, *TRUE) + 0.01 * draw.normal(size=len(T))
    found, covariance = optimize.curve_fit(
        values, T, y, p0=[1.0, 1.0, 0.0], jac=lambda t, *p: np.stack(gradient(t, *p), axis=1)
    )
    plain, _ = optimize.curve_fit(lambda t, a, b, c: a * np.exp(-b * t) + c, T, y, p0=[1.0, 1.0, 0.0])
    assert found == pytest.approx(plain, rel=1e-5) and found == pytest.approx(TRUE, abs=0.05)
    assert covariance.shape == (3, 3)

"""A neuron's graph, walked over `_prev` as notebooks do before they draw it."""

import random

from micrograd.engine import Value
from micrograd.nn import Neuron


def trace(root):
    nodes, edges, todo = {root}, set(), [root]
    while todo:
        parent = todo.pop()
        for child in parent._prev:
            edges.add((child, parent))
            if child not in nodes:
                nodes.add(child)
                todo.append(child)
    return nodes, edges


random.seed(1337)
neuron = Neuron(2)
y = neuron([Value(1.0), Value(-2.0)])
y.backward()
nodes, edges = trace(y)
print(neuron, y, len(nodes), len(edges))
for line in sorted(f"data {v.data:.4f} grad {v.grad:.4f} {v._op}" for v in nodes):
    print(line)
for line in sorted(f"{v.data:.4f} -> {w.data:.4f}" for v, w in edges):
    print(line)

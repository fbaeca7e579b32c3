"""Draw a graph as the lecture on micrograd does, with a `tanh` of one's own put on the class.

    python examples/draw_graph.py                  # DOT text; | dot -Tsvg > graph.svg, if you have graphviz
    python examples/draw_graph.py --inputs 5

The drawing walks `_prev` from the result and reads `label`, `_op`, `data` and `grad` of every node.
"""

import argparse
import math
import random
import sys

from tapegrad.engine import Value

calls = []  # of our own tanh and of its derivative


def tanh(self):
    calls.append("tanh")
    out = Value(math.tanh(self.data), (self,), "tanh")

    def backward():
        calls.append("derivative")
        self.grad += (1 - out.data**2) * out.grad

    out._backward = backward
    return out


def labelled(value, label):
    value.label = label
    return value


def neuron(inputs):
    """tanh of a weighted sum, every node with a label; the result, the inputs and the weights."""
    draw = random.Random(3)
    xs = [labelled(Value(draw.randint(-3, 3)), f"x{i}") for i in range(inputs)]
    ws = [labelled(Value(round(draw.uniform(-1, 1), 3)), f"w{i}") for i in range(inputs)]
    total = labelled(Value(0.25), "bias")
    for i, (x, w) in enumerate(zip(xs, ws, strict=True)):
        total = labelled(total + labelled(x * w, f"x{i}*w{i}"), f"sum{i}")
    return labelled(total.tanh(), "out"), xs, ws


def trace(root):
    """All nodes below `root` and all edges, child to parent."""
    nodes, edges, todo = {root}, set(), [root]
    while todo:
        node = todo.pop()
        for child in node._prev:
            edges.add((child, node))
            if child not in nodes:
                nodes.add(child)
                todo.append(child)
    return nodes, edges


def dot(root):
    """The graph in graphviz's language; in the order of the labels, as `_prev` is a set and has none."""
    nodes, edges = trace(root)
    lines = ["digraph {", "  rankdir=LR; node [shape=record];"]
    for node in sorted(nodes, key=lambda node: node.label):
        lines.append(f'  "{node.label}" [label="{node.label} | data {node.data:.4f} | grad {node.grad:.4f}"];')
        if node._op:
            lines.append(f'  "{node.label} {node._op}" [label="{node._op}", shape=circle];')
            lines.append(f'  "{node.label} {node._op}" -> "{node.label}";')
    for child, node in sorted(edges, key=lambda edge: (edge[1].label, edge[0].label)):
        lines.append(f'  "{child.label}" -> "{node.label} {node._op}";')
    return "\n".join([*lines, "}"])


def main():
    parser = argparse.ArgumentParser(description="Print a neuron's graph in graphviz's language.")
    parser.add_argument("--inputs", type=int, default=2, help="of the neuron (default: 2)")
    arguments = parser.parse_args()
    Value.tanh = tanh
    out, xs, ws = neuron(arguments.inputs)
    out.backward()
    print(dot(out))
    slope = 1 - out.data**2
    error = max(abs(w.grad - slope * x.data) for w, x in zip(ws, xs, strict=True))
    nodes, edges = trace(out)
    facts = f"{len(nodes)} nodes, {len(edges)} edges; called: {', '.join(calls)}; largest error of a grad: {error!r}"
    print(facts, file=sys.stderr)


if __name__ == "__main__":
    main()

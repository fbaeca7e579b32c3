# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False, autotestdict=False
# cython: binding=False, embedsignature=True, embedsignature.format=clinic
"""Copies of Values and of the graphs below them, for `copy`, `deepcopy` and `pickle`; none of them recurses."""
from cpython.object cimport PyObject
from libc.stdint cimport int32_t

from tapegrad.ops cimport BINARY, CUSTOM, FLOAT, LEAF, OP_COUNT, PARAM, code, table
from tapegrad.tape cimport KIND, LEAKED, Extra, Tape, handle, push, push_leaf, room
from tapegrad.value cimport (Value, anchor, children_of, custom, extra_of, keep, move_to, need_number, need_numbers,
                             need_values, number, operands, operation)

from tapegrad import tape as _tape_module
from tapegrad.value import _index_of

cdef object BUILT_IN = _tape_module.BUILT_IN

cdef Tape tape = _tape_module.tape

cdef extern from *:
    Py_ssize_t Py_REFCNT(PyObject *o) noexcept
    Py_ssize_t dict_size "PyDict_GET_SIZE"(PyObject *o) noexcept


cdef list graph_of(Value root):
    """`root` and the Values it is computed from, operands first. While the list is kept, so are the nodes."""
    cdef dict found = {}
    cdef list todo = [root]
    while todo:
        v = todo.pop()
        if id(v) not in found:
            found[id(v)] = v
            todo += operands(v)
            if tape.op[(<Value>v).index] == CUSTOM:
                todo += children_of(v)
    return sorted(found.values(), key=_index_of)


cdef bint is_leaf(Value v) noexcept:
    """Whether v is a leaf of which a pickle needs to know only its number, grad, name and attributes."""
    cdef Extra extra = extra_of(v)
    return tape.op[v.index] == LEAF or (operation(v) == LEAF and extra is not None and not extra.children
                                        and extra.backward is BUILT_IN)


cdef dict attributes_of(Value v):
    cdef PyObject *attrs = handle(v).attrs
    return dict(<dict>attrs) if attrs != NULL and dict_size(attrs) else None


def set_attributes(Value v not None, dict attributes):
    if attributes is not None:
        for name, value in attributes.items():
            setattr(v, name, value)


cdef object constant_of(Value v):
    """The constant operand, or None."""
    cdef int32_t b = tape.b[v.index]
    if table[operation(v)].operands != PARAM:
        return None
    return number(tape.value[b], tape.kind[b] & KIND)


cdef Value new_node(object cls, int op, object on, object constant, object data, object grad):
    """A Value with these numbers whose node is `op` of the Values `on`."""
    cdef double x = 0.0
    cdef int kind = 0
    cdef int32_t a, b
    cdef Value w
    cdef tuple operand_values = () if on is None else tuple(on)
    need_values(operand_values, "operands")
    if len(operand_values) != (0 if op <= CUSTOM else 2 if table[op].operands == BINARY else 1):
        raise ValueError(f"{table[op].label.decode()!r} of {len(operand_values)} operands")
    made = cls.__new__(cls)
    if not isinstance(made, Value) or type(made) is not cls or is_in_use(<Value>made):
        raise TypeError(f"{cls.__name__}.__new__ must make a new {cls.__name__}")
    w = made
    if op > CUSTOM:
        if constant is not None:
            need_number(constant, "constant", &x, &kind)
        room(tape, 2)
        a = b = (<Value>operand_values[0]).index
        if table[op].operands == BINARY:
            b = (<Value>operand_values[1]).index
        elif table[op].operands == PARAM:
            b = push_leaf(tape, x, kind)
        move_to(w, push(tape, op, a, b, 0.0, FLOAT))
        for v in operand_values:
            keep(w, anchor(v))
    else:
        tape.b[w.index] = w.index           # as __init__ leaves it
    w.data = data
    w.grad = grad
    return w


cdef bint is_in_use(Value w) noexcept:
    """Whether w is more than a leaf fresh from __new__, of which only the caller knows."""
    return (w.index == 0 or tape.handle[w.index] != handle(w) or tape.op[w.index] != LEAF
            or Py_REFCNT(<PyObject *>w) > 2)


cdef int set_custom(Value w, object children, object op, object local_grads, object backward) except -1:
    """Give w what the program has replaced; None stands for nothing."""
    if children is not None:
        need_values(tuple(children), "_children")
        custom(w).children = tuple(children)
        if local_grads is not None:
            custom(w).partials = need_numbers(local_grads, "local gradients")
        if backward is not None:
            w._backward = backward
    if op is not None:
        w._op = op
    return 0


cdef object rebound(object function, dict memo):
    """A function of a node's own, with the copies in `memo` in place of the Values in its closure."""
    from types import CellType, FunctionType

    if type(function) is not FunctionType or function.__closure__ is None:
        return function
    cells = []
    for cell in function.__closure__:
        cells.append(CellType(memo[id(cell.cell_contents)]) if is_copied(cell, memo) else cell)
    copy = FunctionType(function.__code__, function.__globals__, function.__name__, function.__defaults__, tuple(cells))
    copy.__kwdefaults__ = function.__kwdefaults__
    return copy


# Loops, not list comprehensions: where appending fails for want of memory, the code that Cython 3.3.1 makes of a
# comprehension gives up the item twice.

cdef list picked(list values, object places):
    cdef list out = []
    for k in places:
        out.append(values[k])
    return out


cdef list copies_of(tuple values, dict found):
    """What `found` has for the identities of these Values."""
    cdef list out = []
    for v in values:
        out.append(found[id(v)])
    return out


cdef bint is_copied(object cell, dict memo) except -1:
    try:
        return id(cell.cell_contents) in memo
    except ValueError:                      # an empty cell
        return False


def copied(Value v not None):
    """A Value of its own with the same number, grad, operands and attributes."""
    cdef Extra extra = extra_of(v)
    # not a list of the operands: CPython 3.11 loses a tuple of which it cannot make a list
    w = new_node(type(v), operation(v), operands(v), constant_of(v), v.data, v.grad)
    if extra is not None:
        set_custom(w, extra.children, extra.op, extra.partials,
                   None if extra.backward is BUILT_IN else extra.backward)
    leak(v, w)
    set_attributes(w, attributes_of(v))
    return w


cdef void leak(Value v, Value w) noexcept:
    """Make w, a copy of v, as unfit to be differentiated as v is."""
    if tape.kind[v.index] & LEAKED:
        tape.op[w.index] = CUSTOM
        tape.kind[w.index] |= LEAKED


def deeply_copied(Value root not None, dict memo not None):
    """A copy of the whole graph below this Value; what has been copied before is found in `memo`."""
    cdef Extra extra
    cdef dict attributes
    cdef list made = []
    from copy import deepcopy

    for v in graph_of(root):
        if id(v) not in memo:
            w = new_node(type(v), operation(v), copies_of(operands(v), memo), constant_of(v), v.data, v.grad)
            memo[id(v)] = w
            memo.setdefault(id(memo), []).append(v)
            made.append((v, w))
    for v, w in made:
        leak(v, w)
        extra = extra_of(v)
        if extra is not None:
            set_custom(w, None if extra.children is None else copies_of(extra.children, memo), extra.op,
                       extra.partials, None if extra.backward is BUILT_IN else rebound(extra.backward, memo))
        attributes = attributes_of(v)       # one by one: deepcopy of a dict can crash CPython 3.11 where memory is short
        if attributes is not None:
            for name, attribute in attributes.items():
                setattr(w, name, deepcopy(attribute, memo))
    return memo[id(root)]


def reduced(Value root not None):
    """What `__reduce_ex__` answers: a leaf by itself, any other Value with the graph below it."""
    cdef Extra extra
    cdef dict place = {}
    cdef list nodes = []
    if is_leaf(root):
        extra = extra_of(root)
        return (_restore_leaf, (type(root), root.data, root.grad, None if extra is None else extra.op),
                attributes_of(root))
    graph = graph_of(root)
    for v in graph:
        place[id(v)] = len(place)
    for v in graph:
        if is_leaf(v):
            nodes.append(v)
            continue
        extra = extra_of(v)
        own = (None,) * 4
        if extra is not None:
            own = (None if extra.children is None else copies_of(extra.children, place), extra.op,
                   extra.partials, None if extra.backward is BUILT_IN else extra.backward)
        nodes.append((type(v), table[operation(v)].label.decode(), copies_of(operands(v), place),
                      constant_of(v), v.data, v.grad, *own, attributes_of(v)))
    return _restore_graph, (nodes, place[id(root)])


def _restore_leaf(cls, data, grad, op):
    """For pickle: a leaf."""
    v = new_node(cls, LEAF, None, None, data, grad)
    if op is not None:
        v._op = op
    return v


def _restore_graph(list nodes, root):
    """For pickle: the Values of a graph, of which number `root` is the one that was pickled."""
    cdef list values = []
    cdef int op
    for node in nodes:
        if isinstance(node, Value):
            values.append(node)
            continue
        cls, label, on, constant, data, grad = node[:6]
        op = LEAF if label == "" else code(label.encode())
        if op < 0 or op >= OP_COUNT or len(on) != (0 if op == LEAF else 2 if table[op].operands == BINARY else 1):
            raise ValueError(f"a pickled Value names an operation {label!r} on {len(on)} operands, which is not known")
        values.append(new_node(cls, op, picked(values, on), constant, data, grad))
    for node, w in zip(nodes, values):
        if node is not w:
            children, op_name, local_grads, backward, attributes = node[6:]
            set_custom(w, None if children is None else picked(values, children), op_name, local_grads, backward)
            set_attributes(w, attributes)
    return values[root]

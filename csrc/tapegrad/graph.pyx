# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False, autotestdict=False
# cython: auto_pickle=False, binding=False, embedsignature=True, embedsignature.format=clinic
"""Differentiating and optimising recorded functions.

Differentiation adds nodes to a graph, by the rules of the table, so that what comes out can be differentiated again.
The sums of adjoints are formed in the order of the eager sweep, and nothing here changes a bit of any value; so a
recorded gradient is the eager one, to the last bit, where both use the same math library.
"""
import os

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from cpython.exc cimport PyErr_CheckSignals
from cpython.mem cimport PyMem_RawCalloc, PyMem_RawFree, PyMem_RawMalloc, PyMem_RawRealloc
from libc.math cimport fabs, frexp, signbit
from libc.stdint cimport int32_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

from tapegrad.ops cimport (ADD, ALL_COUNT, BINARY, COPY, CUSTOM, DIV, FLOAT, INT, LEAF, MADD, MUL, NEG, NMADD, NOT, PARAM,
                           POW, POWN, SELECT, STOP, SUB, TERNARY, TMUL, UNARY, ZMADD, ZMUL, code, table,
                           value_of_floats)
from tapegrad.tape cimport KIND, Still, Tape, push, push_leaf, room

from tapegrad import tape as _tape_module
from tapegrad.rules import parse

cdef extern from "Python.h":
    void gc_untrack "PyObject_GC_UnTrack"(object)
    void gc_track "PyObject_GC_Track"(object)

cdef Tape tape = _tape_module.tape

cdef enum:
    LONG = 0x3fff               # nodes less one after which a long loop lets others through
    MAX_STEPS = 24              # instructions of a rule
    OPERAND_A = -1              # what an instruction names besides earlier instructions
    OPERAND_B = -2
    OPERAND_Y = -3
    NUMBER = -100               # number k of the rule is NUMBER - k


# ---- the rules, in a form that is quick to apply ----

ctypedef struct Rule:
    int count                   # of instructions; the last is the result
    int32_t op[MAX_STEPS]       # -1: the bare operand x
    int32_t x[MAX_STEPS]
    int32_t y[MAX_STEPS]
    int32_t z[MAX_STEPS]
    double numbers[MAX_STEPS]

cdef Rule *rules = NULL         # two for each operation


cdef int label_code(str label) except -1:
    cdef int op = SELECT if label == "select" else code(label.encode())
    if op < 0:
        raise ValueError(f"ops.h: no operation {label!r}")
    return op


def _label_code(str label):
    return label_code(label)


cdef int need_rules() except -1:
    """Read the rules, if that has not been done. Code of Python runs."""
    global rules
    cdef Rule *fresh
    cdef int op, which
    if rules != NULL:
        return 0
    fresh = <Rule *>zeroed(2 * ALL_COUNT, sizeof(Rule))
    try:
        for op in range(CUSTOM + 1, ALL_COUNT):
            for which in range(2):
                read_rule(&fresh[2 * op + which], parse((table[op].db if which else table[op].da).decode(), _label_code))
    except BaseException:
        PyMem_RawFree(fresh)
        raise
    if rules == NULL:
        rules = fresh
    else:                       # somebody was here meanwhile
        PyMem_RawFree(fresh)
    return 0


cdef int read_rule(Rule *rule, list instructions) except -1:
    cdef int k = 0, numbers = 0, position, op
    cdef int32_t operand[3]
    cdef int32_t earlier
    for instruction in instructions:
        if k == MAX_STEPS or len(instruction) > 4:
            raise ValueError("ops.h: a derivative is too long")
        op = instruction[0]
        if op != -1 and not CUSTOM < op < ALL_COUNT:
            raise ValueError(f"ops.h: there is no operation {op}")
        rule.op[k] = op
        operand[0] = operand[1] = operand[2] = OPERAND_A
        position = 0
        for x in instruction[1:4]:
            if isinstance(x, str):
                operand[position] = OPERAND_A if x == "a" else OPERAND_B if x == "b" else OPERAND_Y
            elif isinstance(x, float) and numbers < MAX_STEPS:
                rule.numbers[numbers] = x
                operand[position] = NUMBER - numbers
                numbers += 1
            else:
                earlier = x
                if not 0 <= earlier < k:
                    raise ValueError(f"ops.h: a derivative uses step {earlier} in step {k}")
                operand[position] = earlier
            position += 1
        rule.x[k], rule.y[k], rule.z[k] = operand[0], operand[1], operand[2]
        k += 1
    if k == 0:
        raise ValueError("ops.h: a derivative without a step")
    rule.count = k
    return 0


# ---- the graph ----

cdef void *resized(void *old, size_t count, size_t width) except NULL:
    cdef void *new = PyMem_RawRealloc(old, count * width)
    if new == NULL:
        raise MemoryError(f"no memory for a graph of {count} nodes")
    return new


cdef void *scratch(size_t count, size_t width) except NULL:
    cdef void *new = PyMem_RawMalloc(count * width + 1)
    if new == NULL:
        raise MemoryError(f"no memory to work on a graph of {count} nodes")
    return new


cdef void *zeroed(size_t count, size_t width) except NULL:
    cdef void *new = PyMem_RawCalloc(count + 1, width)
    if new == NULL:
        raise MemoryError(f"no memory to work on a graph of {count} nodes")
    return new


cdef int need_int(object node) except -1:
    """A TypeError unless that is an int, which is the same whenever it is asked."""
    if type(node) is not int:
        raise TypeError(f"a node is named by an int, not by {type(node).__name__}")
    return 0


cdef int breathe() except -1:
    """Let other threads and Ctrl-C through. Code of the program may run: what was read before may be otherwise now."""
    with nogil:
        pass
    PyErr_CheckSignals()
    return 0


cdef Graph hidden(Graph g):
    """g, out of sight of whoever asks the garbage collector for objects, until it is whole: see `shown`."""
    gc_untrack(g)
    return g


cdef Graph shown(Graph g):
    gc_track(g)
    return g


cdef class Graph:
    """The operations of a recorded function."""

    def __cinit__(self):
        self.origin = -1

    @property
    def origins(self):
        """For every node that of the recording it derives from; None where nobody asked."""
        return None if self.derived_from is None else list(self.derived_from)

    def __dealloc__(self):
        PyMem_RawFree(self.op)
        PyMem_RawFree(self.a)
        PyMem_RawFree(self.b)
        PyMem_RawFree(self.c)
        PyMem_RawFree(self.value)

    cdef int grow(self, int32_t count) except -1:
        cdef size_t capacity = 2 * <size_t>self.allocated
        if self.size > 1000000000:
            raise MemoryError("a graph of more than a billion nodes")
        if capacity < <size_t>self.size + count:
            capacity = self.size + count
        if capacity < 64:
            capacity = 64
        self.op = <uint8_t *>resized(self.op, capacity, sizeof(uint8_t))
        self.a = <int32_t *>resized(self.a, capacity, sizeof(int32_t))
        self.b = <int32_t *>resized(self.b, capacity, sizeof(int32_t))
        self.c = <int32_t *>resized(self.c, capacity, sizeof(int32_t))
        self.value = <double *>resized(self.value, capacity, sizeof(double))
        self.allocated = <int32_t>capacity
        return 0

    cdef int32_t add(self, int op, int32_t a, int32_t b=0, int32_t c=0) except -1:
        cdef int32_t i = self.size
        if self.sealed:
            raise TypeError("the graph of a program cannot be changed")
        if i == self.allocated:
            self.grow(1)
        if self.derived_from is not None:       # first, because it may fail
            self.derived_from.append(self.origin if self.origin >= 0 else i)
        self.op[i] = <uint8_t>op
        self.a[i] = a
        self.b[i] = b
        self.c[i] = c
        self.value[i] = 0.0
        self.size = i + 1
        return i

    cdef int32_t constant(self, double x) except -1:
        cdef int32_t i = self.add(LEAF, 0)
        self.value[i] = x
        return i

    cdef int32_t input(self) except -1:
        cdef int32_t i = self.add(CUSTOM, self.inputs)
        self.inputs += 1
        return i

    def is_number(self, int32_t node):
        """Whether a node is a constant."""
        self.need(node)
        return self.op[node] == LEAF

    def input_nodes(self):
        """The nodes of the inputs, in their order."""
        cdef int32_t i
        cdef int32_t inputs = self.inputs
        cdef list nodes = [None] * inputs       # code may run here
        for i in range(self.size):
            if self.op[i] == CUSTOM and self.a[i] < inputs:
                nodes[self.a[i]] = i
        return nodes

    def operation(self, int32_t node):
        """(code, operands) of a node; no operands for a constant (code 0) and an input (code 1)."""
        cdef int operands
        self.need(node)
        operands = table[self.op[node]].operands
        found = [self.a[node], self.b[node], self.c[node]]
        return self.op[node], tuple(found[:3 if operands == TERNARY else 2 if operands >= BINARY else 1 if operands else 0])

    def used(self, list nodes not None):
        """For every node whether it is one of these or what they are computed from, as bytes."""
        cdef int32_t count = self.size
        cdef bytes needed = PyBytes_FromStringAndSize(NULL, count)     # nobody else sees it before it is filled
        cdef uint8_t *flags = <uint8_t *>PyBytes_AS_STRING(needed)
        cdef Nodes wanted
        cdef Py_ssize_t k
        memset(flags, 0, count)
        self.take(nodes, count, &wanted)
        for k in range(wanted.count):
            flags[wanted.at[k]] = 1
        PyMem_RawFree(wanted.at)
        self.need_operands(flags, count)
        return needed

    def evaluate(self, const double[::1] x not None):
        """The value of every node where the inputs are x, as a list."""
        cdef int32_t i
        cdef list out = []
        cdef int32_t count = self.size
        cdef double *v = <double *>scratch(count, sizeof(double))
        try:
            if x.shape[0] != self.inputs:
                raise ValueError(f"{x.shape[0]} numbers for {self.inputs} inputs")
            for i in range(count):
                if i & LONG == LONG:
                    breathe()
                if self.op[i] == LEAF:
                    v[i] = self.value[i]
                elif self.op[i] == CUSTOM:
                    v[i] = x[self.a[i]]
                else:
                    v[i] = value_of_floats(self.op[i], v[self.a[i]], v[self.b[i]], v[self.c[i]])
                out.append(v[i])
        finally:
            PyMem_RawFree(v)
        return out

    def arrays(self):
        """(codes, a, b, c, values) as bytes, int32 and float64 in the byte order of this machine."""
        cdef Py_ssize_t n = self.size
        return (<char *>self.op)[:n], (<char *>self.a)[:4 * n], (<char *>self.b)[:4 * n], (<char *>self.c)[:4 * n], \
            (<char *>self.value)[:8 * n]

    @staticmethod
    def from_arrays(const uint8_t[::1] codes not None, const int32_t[::1] a not None, const int32_t[::1] b not None,
                    const int32_t[::1] c not None, const double[::1] values not None):
        """The graph of such arrays; a ValueError where they are none."""
        cdef Graph g = hidden(Graph.__new__(Graph))
        cdef Py_ssize_t n = codes.shape[0]
        cdef Py_ssize_t i
        cdef int op, operands
        cdef int32_t p, q, r
        cdef bytes marks
        cdef uint8_t *seen
        if a.shape[0] != n or b.shape[0] != n or c.shape[0] != n or values.shape[0] != n or n > 1000000000:
            raise ValueError("the arrays of a graph must be equally long")
        marks = PyBytes_FromStringAndSize(NULL, n)          # which inputs there are
        seen = <uint8_t *>PyBytes_AS_STRING(marks)
        memset(seen, 0, n)
        for i in range(n):
            if i & LONG == LONG:
                breathe()
            op, p, q, r = codes[i], a[i], b[i], c[i]        # once: somebody may write to the arrays meanwhile
            if op >= ALL_COUNT:
                raise ValueError(f"node {i}: there is no operation {op}")
            operands = table[op].operands
            if operands and not 0 <= p < i or operands >= BINARY and not 0 <= q < i \
                    or operands == TERNARY and not 0 <= r < i:
                raise ValueError(f"node {i} must be made of nodes before it")
            if op == CUSTOM:
                if not 0 <= p < n or seen[p]:
                    raise ValueError(f"node {i} is input {p}, which there is already or cannot be")
                seen[p] = 1
                g.inputs += 1
            g.add(op, p if operands or op == CUSTOM else 0, q if operands >= BINARY else 0, r if operands == TERNARY else 0)
            g.value[i] = values[i] if op == LEAF else 0.0
        for i in range(g.inputs):
            if not seen[i]:
                raise ValueError("the inputs of a graph must be numbered from 0 without a gap")
        return shown(g)

    cdef int need(self, object node) except -1:
        """An IndexError unless that is a node of this graph."""
        need_int(node)
        if not 0 <= <Py_ssize_t>node < self.size:
            raise IndexError(f"there is no node {node} in a graph of {self.size}")
        return 0

    cdef int take(self, list nodes, int32_t below, Nodes *taken) except -1:
        """Take the numbers of these nodes, which must be below `below`, into memory that nobody else sees: the list may be
        another as soon as any code has run. Who has taken them frees them."""
        cdef int32_t *at = <int32_t *>scratch(len(nodes), sizeof(int32_t))
        taken.count = 0
        try:
            for node in nodes:                  # no code runs in here: the list is as long as it was
                need_int(node)
                if not 0 <= <Py_ssize_t>node < below:
                    raise IndexError(f"there is no node {node} in a graph of {below}")
                at[taken.count] = node
                taken.count += 1
        except BaseException:
            taken.count = 0
            PyMem_RawFree(at)
            raise
        taken.at = at
        return 0

    def new_input(self):
        """Add an input and return its node."""
        cdef object node = self.size        # made first: an input that nobody is told of would be one too many
        self.input()
        return node

    def new_number(self, double x):
        """Add a constant and return its node."""
        cdef object node = self.size
        self.constant(x)
        return node

    # ---- derivatives ----

    cdef int32_t apply_rule(self, int op, int which, int32_t a, int32_t b, int32_t y) except -1:
        """Add the nodes of dy/da or dy/db and return the last."""
        cdef Rule *rule
        cdef int32_t made[MAX_STEPS]
        cdef int32_t operand[3]
        cdef int32_t named
        cdef int k, position
        rule = &rules[2 * op + which]
        for k in range(rule.count):
            operand[0], operand[1], operand[2] = rule.x[k], rule.y[k], rule.z[k]
            for position in range(3):
                named = operand[position]
                if named >= 0:
                    operand[position] = made[named]
                elif named <= NUMBER:
                    operand[position] = self.constant(rule.numbers[NUMBER - named])
                else:
                    operand[position] = a if named == OPERAND_A else b if named == OPERAND_B else y
            if rule.op[k] == -1:
                made[k] = operand[0]
            else:
                made[k] = self.add(rule.op[k], operand[0], operand[1], operand[2])
        return made[rule.count - 1]

    cdef int32_t chain(self, int32_t i, int which, int product, int32_t t) except -1:
        """The node of t times the derivative of node i by an operand, where ZMUL or TMUL multiplies; -2 for 0."""
        cdef int op = self.op[i]
        cdef Rule *rule
        cdef double d
        rule = &rules[2 * op + which]
        if rule.op[0] == -1 and rule.x[0] <= NUMBER:
            d = rule.numbers[0]
            return t if d == 1.0 else self.add(NEG, t) if d == -1.0 else -2 if d == 0.0 else \
                self.add(product, self.constant(d), t)
        return self.add(product, self.apply_rule(op, which, self.a[i], self.b[i], i), t)

    cdef int accumulate(self, int32_t *sums, int32_t i, int32_t term) except -1:
        if term >= 0:
            sums[i] = term if sums[i] < 0 else self.add(ADD, sums[i], term)
        return 0

    cdef int pull(self, int32_t i, int32_t g, int32_t *adjoint, const uint8_t *active) except -1:
        """One step of the reverse sweep, through node i with adjoint g."""
        cdef int op = self.op[i]
        cdef int32_t a = self.a[i], b = self.b[i], c = self.c[i]
        cdef int32_t zero
        if op == SELECT:
            zero = self.constant(0.0)
            if active[b]:
                self.accumulate(adjoint, b, self.add(SELECT, a, g, zero))
            if active[c]:
                self.accumulate(adjoint, c, self.add(SELECT, a, zero, g))
            return 0
        if active[a]:
            self.accumulate(adjoint, a, self.chain(i, 0, ZMUL, g))
        if table[op].operands == BINARY and active[b]:
            self.accumulate(adjoint, b, self.chain(i, 1, ZMUL, g))
        return 0

    cdef int32_t push_tangent(self, int32_t i, const int32_t *tangent) except -1:
        """One step of the forward sweep: the tangent of node i, -2 for 0."""
        cdef int op = self.op[i]
        cdef int32_t a = self.a[i], b = self.b[i], c = self.c[i]
        cdef int32_t t = -2, u
        if op == SELECT:
            t = self.constant(0.0) if tangent[b] < 0 else tangent[b]
            u = self.constant(0.0) if tangent[c] < 0 else tangent[c]
            return self.add(SELECT, a, t, u)
        if tangent[a] >= 0:
            t = self.chain(i, 0, TMUL, tangent[a])
        if table[op].operands == BINARY and tangent[b] >= 0:
            u = self.chain(i, 1, TMUL, tangent[b])
            t = u if t < 0 else t if u < 0 else self.add(ADD, t, u)
        return t

    cdef void depends(self, uint8_t *active, int32_t first, int32_t count) noexcept nogil:
        """Mark, below `count`, what depends on the nodes marked already."""
        cdef int32_t i
        cdef int operands
        for i in range(first, count):
            operands = table[self.op[i]].operands
            if operands == UNARY or operands == PARAM:
                active[i] |= active[self.a[i]]
            elif operands == BINARY:
                active[i] |= active[self.a[i]] | active[self.b[i]]
            elif operands == TERNARY:
                active[i] |= active[self.b[i]] | active[self.c[i]]

    def reverse(self, list outputs not None, list seeds not None, list inputs not None):
        """Add the reverse sweep: for each of `inputs` the node of sum(seed * d output / d input)."""
        cdef list out = []
        cdef Nodes ends = Nodes(NULL, 0), given = Nodes(NULL, 0), starts = Nodes(NULL, 0)
        cdef int32_t *adjoint = NULL
        cdef uint8_t *active = NULL
        cdef int32_t i, g, origin, count, first
        cdef Py_ssize_t k
        need_rules()
        origin = self.origin
        first = count = self.size               # and from here on no code runs until all is taken
        try:
            self.take(outputs, count, &ends)
            self.take(seeds, count, &given)
            self.take(inputs, count, &starts)
            if ends.count != given.count:
                raise ValueError(f"{given.count} seeds for {ends.count} outputs")
            adjoint = <int32_t *>scratch(count, sizeof(int32_t))
            active = <uint8_t *>zeroed(count, 1)
            for i in range(count):
                adjoint[i] = -1
            for k in range(starts.count):
                active[starts.at[k]] = 1
                first = min(first, starts.at[k])
            self.depends(active, first, count)
            for k in range(ends.count):
                self.accumulate(adjoint, ends.at[k], given.at[k])
            for i in range(count - 1, -1, -1):
                if i & LONG == LONG:
                    breathe()
                g = adjoint[i]
                if g >= 0 and active[i] and self.op[i] > CUSTOM:
                    if self.derived_from is not None:
                        self.origin = self.derived_from[i]
                    self.pull(i, g, adjoint, active)
            for k in range(starts.count):
                i = starts.at[k]
                out.append(self.constant(0.0) if adjoint[i] < 0 else adjoint[i])
        finally:
            self.origin = origin
            PyMem_RawFree(ends.at)
            PyMem_RawFree(given.at)
            PyMem_RawFree(starts.at)
            PyMem_RawFree(adjoint)
            PyMem_RawFree(active)
        return out

    def forward(self, list inputs not None, list tangents not None, list outputs not None):
        """Add the forward sweep: for each of `outputs` the node of sum(d output / d input * tangent)."""
        cdef list out = []
        cdef Nodes starts = Nodes(NULL, 0), given = Nodes(NULL, 0), ends = Nodes(NULL, 0)
        cdef int32_t *tangent = NULL
        cdef uint8_t *active = NULL
        cdef uint8_t *needed = NULL
        cdef int32_t i, origin, count, first
        cdef Py_ssize_t k
        need_rules()
        origin = self.origin
        first = count = self.size               # see reverse
        try:
            self.take(inputs, count, &starts)
            self.take(tangents, count, &given)
            self.take(outputs, count, &ends)
            if starts.count != given.count:
                raise ValueError(f"{given.count} tangents for {starts.count} inputs")
            tangent = <int32_t *>scratch(count, sizeof(int32_t))
            active = <uint8_t *>zeroed(count, 1)
            needed = <uint8_t *>zeroed(count, 1)
            for i in range(count):
                tangent[i] = -1
            for k in range(starts.count):
                i = starts.at[k]
                active[i] = 1
                tangent[i] = given.at[k]
                first = min(first, i)
            self.depends(active, first, count)
            for k in range(ends.count):
                needed[ends.at[k]] = 1
            self.need_operands(needed, count)
            for i in range(count):
                if i & LONG == LONG:
                    breathe()
                if active[i] and needed[i] and tangent[i] < 0 and self.op[i] > CUSTOM:
                    if self.derived_from is not None:
                        self.origin = self.derived_from[i]
                    tangent[i] = self.push_tangent(i, tangent)
            for k in range(ends.count):
                i = ends.at[k]
                out.append(self.constant(0.0) if tangent[i] < 0 else tangent[i])
        finally:
            self.origin = origin
            PyMem_RawFree(starts.at)
            PyMem_RawFree(given.at)
            PyMem_RawFree(ends.at)
            PyMem_RawFree(tangent)
            PyMem_RawFree(active)
            PyMem_RawFree(needed)
        return out

    cdef void need_operands(self, uint8_t *needed, int32_t count) noexcept nogil:
        """Mark what the marked nodes are computed from."""
        cdef int32_t i
        cdef int operands
        for i in range(count - 1, -1, -1):
            if needed[i]:
                operands = table[self.op[i]].operands
                if operands:
                    needed[self.a[i]] = 1
                if operands >= BINARY:
                    needed[self.b[i]] = 1
                if operands == TERNARY:
                    needed[self.c[i]] = 1

    # ---- optimising ----

    def optimised(self, list outputs not None):
        """The graph of these outputs alone, and where they are in it: what does not matter left out, constants folded,
        what occurs twice computed once. The values stay what they are, to the last bit."""
        return self.optimise(outputs)

    cdef tuple optimise(self, list outputs):    # ours, whatever the program makes of Graph.optimised
        cdef Shared shared = hidden(Shared.__new__(Shared))
        cdef list places = []
        cdef Nodes wanted = Nodes(NULL, 0)
        cdef uint8_t *live = NULL
        cdef int32_t *moved = NULL
        cdef int32_t i, inputs, count
        cdef Py_ssize_t k
        cdef int operands
        if self.derived_from is not None:
            shared.derived_from = []
        count = self.size                       # no code runs until the outputs are taken
        inputs = self.inputs
        try:
            self.take(outputs, count, &wanted)
            live = <uint8_t *>zeroed(count, 1)
            moved = <int32_t *>scratch(count, sizeof(int32_t))
            for k in range(wanted.count):
                live[wanted.at[k]] = 1
            self.need_operands(live, count)
            shared.reserve(count)
            for i in range(count):
                if i & LONG == LONG:
                    breathe()
                if self.op[i] == CUSTOM:
                    moved[i] = shared.add(CUSTOM, self.a[i])       # inputs stay, used or not
                elif live[i]:
                    if self.derived_from is not None:
                        shared.origin = self.derived_from[i]
                    operands = table[self.op[i]].operands
                    if self.op[i] == LEAF:
                        moved[i] = shared.number(self.value[i])
                    else:
                        moved[i] = shared.simplified(self.op[i], moved[self.a[i]],
                                                     moved[self.b[i]] if operands >= BINARY else 0,
                                                     moved[self.c[i]] if operands == TERNARY else 0)
            shared.inputs = inputs
            for k in range(wanted.count):
                places.append(moved[wanted.at[k]])
        finally:
            PyMem_RawFree(wanted.at)
            PyMem_RawFree(live)
            PyMem_RawFree(moved)
        return shared.fuse(places)

    cdef Graph like(self):
        """An empty graph with the same number of inputs to come, hidden until it is whole."""
        cdef Graph out = hidden(Graph.__new__(Graph))
        if self.derived_from is not None:
            out.derived_from = []
        return out

    def fused(self, list outputs not None):
        """The same graph and outputs, with a product that only one sum uses made part of that sum."""
        return self.fuse(outputs)

    cdef tuple fuse(self, list outputs):
        cdef Graph out = self.like()
        cdef list places = []
        cdef Nodes wanted = Nodes(NULL, 0)
        cdef int32_t *uses = NULL
        cdef int32_t *moved = NULL
        cdef uint8_t *live = NULL
        cdef int32_t i, a, b, product, inputs, count
        cdef Py_ssize_t k
        cdef int op
        count = self.size                       # no code runs until the outputs are taken
        inputs = self.inputs
        try:
            self.take(outputs, count, &wanted)
            uses = <int32_t *>zeroed(count, sizeof(int32_t))
            live = <uint8_t *>zeroed(count, 1)
            moved = <int32_t *>scratch(count, sizeof(int32_t))
            for k in range(wanted.count):
                live[wanted.at[k]] = 1
                uses[wanted.at[k]] += 2                     # by us, and not by a sum
            self.need_operands(live, count)
            for i in range(count):
                if live[i]:
                    self.count_uses(i, uses)
            for i in range(count):                          # live becomes 2 for a product that a sum takes in
                if live[i] and (self.op[i] == ADD or self.op[i] == SUB):
                    product = self.absorbed(i, uses)
                    if product >= 0:
                        live[product] = 2
            for i in range(count):
                if i & LONG == LONG:
                    breathe()
                moved[i] = -1
                if self.op[i] == CUSTOM:
                    moved[i] = out.add(CUSTOM, self.a[i])
                    continue
                if live[i] != 1:
                    continue
                op = self.op[i]
                a = self.a[i]
                b = self.b[i]
                if self.derived_from is not None:
                    out.origin = self.derived_from[i]
                if op == LEAF:
                    moved[i] = out.constant(self.value[i])
                elif (op == ADD or op == SUB) and self.absorbed(i, uses) >= 0:
                    product = self.absorbed(i, uses)
                    moved[i] = out.add(NMADD if op == SUB else ZMADD if self.op[product] == ZMUL else MADD,
                                       moved[a if product == b else b],
                                       moved[self.a[product]], moved[self.b[product]])
                else:
                    moved[i] = out.add(op, moved[a], moved[b] if table[op].operands >= BINARY else 0,
                                       moved[self.c[i]] if table[op].operands == TERNARY else 0)
            out.inputs = inputs
            for k in range(wanted.count):
                places.append(moved[wanted.at[k]])
        finally:
            PyMem_RawFree(wanted.at)
            PyMem_RawFree(uses)
            PyMem_RawFree(moved)
            PyMem_RawFree(live)
        return shown(out), places

    cdef void count_uses(self, int32_t i, int32_t *uses) noexcept nogil:
        cdef int operands = table[self.op[i]].operands
        if operands:
            uses[self.a[i]] += 1
        if operands >= BINARY:
            uses[self.b[i]] += 1
        if operands == TERNARY:
            uses[self.c[i]] += 1

    cdef int32_t absorbed(self, int32_t i, const int32_t *uses) noexcept nogil:
        """Of the sum or difference i, the product that nothing else uses, or -1."""
        cdef int32_t a = self.a[i], b = self.b[i]
        if self.op[i] == SUB:
            return b if uses[b] == 1 and self.op[b] == MUL else -1
        if uses[b] == 1 and (self.op[b] == MUL or self.op[b] == ZMUL):
            return b
        if uses[a] == 1 and (self.op[a] == MUL or self.op[a] == ZMUL):
            return a
        return -1


cdef uint64_t key[7]            # of this process alone: nobody can choose constants for a file that all come to one place

cdef int draw_key() except -1:
    cdef bytes random = os.urandom(sizeof(key))
    if len(random) != sizeof(key):
        raise RuntimeError("os.urandom gives another number of bytes than it was asked for")
    memcpy(key, PyBytes_AS_STRING(random), sizeof(key))
    return 0


draw_key()


cdef inline uint64_t hashed(int op, int32_t a, int32_t b, int32_t c, uint64_t bits) noexcept nogil:
    """A multilinear hash, which is strongly universal in its upper half: whoever does not know the key cannot find nodes
    that collide more often than by chance (Lemire and Kaser, 2014). The rest is for nodes with neighbouring operands."""
    cdef uint64_t h = key[0] + key[1] * <uint32_t>op + key[2] * <uint32_t>a + key[3] * <uint32_t>b + key[4] * <uint32_t>c
    h += key[5] * <uint32_t>bits + key[6] * (bits >> 32)
    h = (h ^ h >> 32) * <uint64_t>0x9e3779b97f4a7c15
    return h ^ h >> 32


cdef class Shared(Graph):
    """A graph in which no operation occurs twice."""
    cdef int32_t *buckets           # of a hash table with open addressing: node numbers, or -1
    cdef uint64_t mask

    def __dealloc__(self):
        PyMem_RawFree(self.buckets)

    cdef int reserve(self, int32_t count) except -1:
        """Make the hash table large enough for that many nodes, which simplifying may double."""
        cdef uint64_t capacity = 64
        while capacity < 3 * <uint64_t>count:
            capacity *= 2
        self.buckets = <int32_t *>scratch(capacity, sizeof(int32_t))
        memset(self.buckets, 0xff, capacity * sizeof(int32_t))
        self.mask = capacity - 1
        return 0

    cdef int32_t shared(self, int op, int32_t a, int32_t b, int32_t c, double x) except -1:
        """The node that is this operation, made if need be."""
        cdef uint64_t bits = 0
        cdef uint64_t place
        cdef int32_t i
        memcpy(&bits, &x, sizeof(double))
        place = hashed(op, a, b, c, bits)
        while True:
            place &= self.mask
            i = self.buckets[place]
            if i < 0:
                break
            if (self.op[i] == op and self.a[i] == a and self.b[i] == b and self.c[i] == c
                    and same_bits(self.value[i], x)):
                return i
            place += 1
        i = self.add(op, a, b, c)
        self.value[i] = x
        self.buckets[place] = i
        return i

    cdef int32_t number(self, double x) except -1:
        return self.shared(LEAF, 0, 0, 0, x)

    cdef int32_t simplified(self, int op, int32_t a, int32_t b, int32_t c) except -1:
        """The node of op(a, b, c), or a simpler one with the same value."""
        cdef int operands = table[op].operands
        cdef bint constant_a = self.op[a] == LEAF
        cdef bint constant_b = operands >= BINARY and self.op[b] == LEAF
        cdef double x
        if constant_a and (operands == UNARY or constant_b) and (operands != TERNARY or self.op[c] == LEAF):
            return self.number(value_of_floats(op, self.value[a], self.value[b], self.value[c]))
        if op == COPY or op == STOP:
            return a
        if op == NEG and self.op[a] == NEG:
            return self.a[a]
        if op == NOT and self.op[a] == NOT and self.op[self.a[a]] == NOT:
            return self.a[a]
        if op == SELECT:
            if constant_a:
                return b if self.value[a] != 0.0 else c
            if b == c:
                return b
            if self.op[a] == NOT:
                return self.simplified(SELECT, self.a[a], c, b)
        if op == DIV and constant_b and is_power_of_two(self.value[b]):
            return self.simplified(MUL, a, self.number(1.0 / self.value[b]), 0)     # to the bit
        if op == POW and constant_b:
            op = POWN
        if op == POWN and constant_b:
            if self.value[b] == 1.0:
                return a
            if self.value[b] == 0.0:
                return self.number(1.0)
        if op == ADD:
            if self.op[b] == NEG:
                return self.simplified(SUB, a, self.a[b], 0)
            if self.op[a] == NEG:
                return self.simplified(SUB, b, self.a[a], 0)
        if op == SUB and self.op[b] == NEG:
            return self.simplified(ADD, a, self.a[b], 0)
        if op == NEG and self.op[a] == MUL and self.op[self.b[a]] == LEAF:
            return self.simplified(MUL, self.a[a], self.number(-self.value[self.b[a]]), 0)
        if op == ZMUL and constant_b and self.value[b] == 0.0:
            return b
        if op == TMUL and (constant_a and self.value[a] == 0.0 or constant_b and self.value[b] == 0.0):
            return self.number(0.0)
        if op == ZMUL and constant_b:
            op = MUL                                        # the adjoint is not zero
        if (op == ZMUL or op == TMUL) and constant_a and self.value[a] - self.value[a] == 0.0:
            op = MUL                                        # nothing infinite meets the zero
        if op == MUL or op == ZMUL or op == TMUL:
            if self.op[a] == NEG and self.op[b] == NEG:
                return self.simplified(op, self.a[a], self.a[b], 0)
            if constant_a and self.op[b] == NEG:
                return self.simplified(op, self.number(-self.value[a]), self.a[b], 0)
            if constant_b and self.op[a] == NEG:
                return self.simplified(op, self.a[a], self.number(-self.value[b]), 0)
            if self.op[a] == NEG:
                return self.simplified(NEG, self.simplified(op, self.a[a], b, 0), 0, 0)
            if self.op[b] == NEG:
                return self.simplified(NEG, self.simplified(op, a, self.a[b], 0), 0, 0)
        if op == ADD or op == MUL:
            if constant_a or (not constant_b and b < a):    # in a fixed order, constants last
                a, b = b, a
            x = self.value[b]
            if op == MUL and self.op[b] == LEAF:
                if x == 1.0:
                    return a
                if x == -1.0:
                    return self.simplified(NEG, a, 0, 0)
            if op == ADD and self.op[b] == LEAF and x == 0.0 and signbit(x):
                return a
        return self.shared(op, a, b, c, 0.0)


cdef inline bint same_bits(double x, double y) noexcept nogil:
    cdef uint64_t p = 0, q = 0
    memcpy(&p, &x, sizeof(double))
    memcpy(&q, &y, sizeof(double))
    return p == q


# ---- from the tape, and back to it ----

def from_tape(list inputs not None, list roots not None, int32_t start, bint origins=False):
    """The graph of the tape's nodes `roots`, given by number, as (graph, roots, others): `inputs` are its first inputs;
    `others` lists the nodes before `start` that were found, which are inputs as well. The nodes come in the order of the
    eager sweep. Nodes must be held still meanwhile (`Still`)."""
    cdef Graph g = hidden(Graph.__new__(Graph))
    cdef dict older = {}
    cdef list others = []
    cdef list numbers = [] if origins else None
    cdef list found = []
    cdef Still still = Still()
    cdef int32_t end, span              # what is pushed while this goes on does not belong to it
    cdef int32_t *place = NULL
    cdef int32_t i
    still.begin()
    try:
        end = tape.size
        span = max(end - start, 0)
        place = <int32_t *>scratch(span + 1, sizeof(int32_t))
        for i in range(span):
            place[i] = -1
        if not 0 < start <= end:
            raise ValueError(f"there is no node {start}")
        for node in inputs:
            need_int(node)
            if not start <= <Py_ssize_t>node < end:
                raise ValueError(f"there is no node {node} from {start} on")
            place[<int32_t>node - start] = g.input()
            if origins:
                numbers.append(node)
        for root in roots:
            need_int(root)
            if not 0 < <Py_ssize_t>root < end:
                raise ValueError(f"there is no node {root}")
            if <int32_t>root < start:
                found.append(of_older(g, root, older, others, numbers))
            else:
                visit(g, <int32_t>root, start, place, older, others, numbers)
                found.append(place[<int32_t>root - start])
    finally:
        PyMem_RawFree(place)
        still.end()
    if origins:
        g.derived_from = numbers
    return shown(g), found, others


cdef int visit(Graph g, int32_t root, int32_t start, int32_t *place, dict older, list others, list numbers) except -1:
    """Add the nodes that `root` is made of to g, depth first, operands first."""
    cdef int32_t *stack = NULL
    cdef size_t size = 0, capacity = 256
    cdef int32_t v, u, k
    cdef int32_t operand[3]
    cdef int op, operands
    stack = <int32_t *>scratch(capacity, sizeof(int32_t))
    try:
        stack[0] = root
        size = 1
        while size:
            size -= 1
            v = stack[size]
            if v >= 0 and (v < start or place[v - start] >= 0):
                continue
            u = v if v >= 0 else ~v
            op = tape.op[u]
            if op == CUSTOM:
                raise TypeError("a node with a derivative of its own (a _backward or local gradients given by the "
                                "program) cannot be recorded")
            operands = table[op].operands
            operand[0] = tape.a[u]
            operand[1] = tape.b[u]
            operand[2] = 0
            if op == SELECT:                # its operands are the one chosen and the other; before it stands by what
                operand[0] = tape.a[u - 1]
                operand[1], operand[2] = tape.a[u], tape.b[u]
                if tape.value[u - 1] == 0.0:
                    operand[1], operand[2] = operand[2], operand[1]
            if v >= 0:
                if op == LEAF:
                    place[u - start] = g.constant(tape.value[u])
                    if numbers is not None:
                        numbers.append(u)
                    continue
                if size + 4 > capacity:
                    stack = <int32_t *>resized(stack, 2 * capacity, sizeof(int32_t))
                    capacity *= 2
                stack[size] = ~v
                size += 1
                for k in range(2 if operands == TERNARY else 1 if operands == BINARY or operands == PARAM else 0, -1, -1):
                    stack[size] = operand[k]
                    size += 1
                continue
            for k in range(3 if operands == TERNARY else 2 if operands == BINARY or operands == PARAM else 1):
                operand[k] = of_older(g, operand[k], older, others, numbers) if operand[k] < start else \
                    place[operand[k] - start]
                if operand[k] < 0:
                    raise ValueError(f"node {u} is not made of what it was made of a moment ago")
            if operands == UNARY:
                operand[1] = 0
            if operands != TERNARY:
                operand[2] = 0
            place[u - start] = g.add(op, operand[0], operand[1], operand[2])
            if numbers is not None:
                numbers.append(u)
            if tape.kind[u] & KIND == INT and op != ADD and op != SELECT:
                place[u - start] = g.add(ADD, place[u - start], g.constant(0.0), 0)     # an int has no -0
                if numbers is not None:
                    numbers += (u, u)
    finally:
        PyMem_RawFree(stack)
    return 0


cdef inline bint is_power_of_two(double x) noexcept:
    """Whether x is one, or the negative of one, and 1 / x is no denormal."""
    cdef int exponent = 0
    return fabs(frexp(x, &exponent)) == 0.5 and -1000 < exponent < 1000


cdef int32_t of_older(Graph g, int32_t node, dict older, list others, list numbers) except -1:
    """The input that stands for a node from before the recording."""
    found = older.get(node)
    if found is None:
        found = older[node] = g.input()
        others.append(node)
        if numbers is not None:
            numbers.append(node)
    return found


def to_tape(Graph g not None, list inputs not None, list nodes not None):
    """Push the operations that make `nodes` onto the tape, on these nodes of the tape as inputs; returns the nodes of the
    tape that are `nodes`. Nodes must be held still until they have Values (`Still`)."""
    cdef list places = []
    cdef Still still = Still()
    cdef int32_t count = g.size
    cdef Nodes wanted = Nodes(NULL, 0)
    cdef uint8_t *needed = NULL
    cdef int32_t *place = NULL
    cdef int32_t i, a, b, c, pushed = 0
    cdef Py_ssize_t k
    cdef int op, operands
    cdef double x
    still.begin()
    try:
        g.take(nodes, count, &wanted)
        needed = <uint8_t *>zeroed(count, 1)
        place = <int32_t *>scratch(count, sizeof(int32_t))
        for k in range(wanted.count):
            needed[wanted.at[k]] = 1
        g.need_operands(needed, count)
        for i in range(count):
            place[i] = 0
            if needed[i] and g.op[i] != CUSTOM:
                pushed += 2 if g.op[i] == SELECT else 1
        room(tape, pushed)                      # code may run; afterwards none does until all is pushed
        if len(inputs) < g.inputs:
            raise ValueError(f"{len(inputs)} nodes for {g.inputs} inputs")
        for node in inputs:
            need_int(node)
            if not 0 < <Py_ssize_t>node < tape.size:
                raise ValueError(f"there is no node {node}")
        for i in range(count):
            op = g.op[i]
            if op == CUSTOM:
                place[i] = inputs[g.a[i]]
            if op == CUSTOM or not needed[i]:
                continue
            if op == LEAF:
                place[i] = push_leaf(tape, g.value[i], FLOAT)
                continue
            operands = table[op].operands
            a = b = place[g.a[i]]
            c = 0
            if operands >= BINARY:
                b = place[g.b[i]]
            if operands == TERNARY:
                c = place[g.c[i]]
            x = value_of_floats(op, tape.value[a], tape.value[b], tape.value[c])
            if op == SELECT:
                push(tape, COPY, a, a, tape.value[a], FLOAT)
                place[i] = push(tape, op, b if tape.value[a] != 0.0 else c, c if tape.value[a] != 0.0 else b, x, FLOAT)
            else:
                place[i] = push(tape, op, a, b, x, FLOAT)
        for k in range(wanted.count):
            places.append(place[wanted.at[k]])
        return places
    finally:
        PyMem_RawFree(wanted.at)
        PyMem_RawFree(needed)
        PyMem_RawFree(place)
        still.end()

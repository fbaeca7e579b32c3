# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False, autotestdict=False
# cython: auto_pickle=False, binding=False, embedsignature=True, embedsignature.format=clinic
"""Programs: recorded functions, optimised and laid out to be run; at single points, and on batches in lanes.

At a single point the operations are sorted into runs of one operation code whose operands are all there, so that a run is
one loop; and within a run so that operands follow one another, or are one number, in long stretches, which are done by the
kernels of lanes. In lanes they stay in the order of the recording, in which operands are still in the cache, and slots are used
again when their number is not needed any more. Values are the same bits in any order.
"""
import os

cimport cython
from cpython.buffer cimport (PyBUF_FORMAT, PyBUF_STRIDED, PyBUF_STRIDED_RO, PyBuffer_Release, PyObject_GetBuffer)
from cpython.mem cimport PyMem_RawCalloc, PyMem_RawFree
from cpython.unicode cimport PyUnicode_FromObject
from libc.stdint cimport (int8_t, int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t)
from libc.string cimport memcpy

from tapegrad.graph cimport Graph, breathe
from tapegrad.ops cimport ALL_COUNT, BINARY, COPY, CUSTOM, LEAF, TERNARY, table


cdef extern from "lanes.h" nogil:
    ctypedef struct Step "TgStep":
        uint8_t op
        uint8_t scalars
        int32_t y
        int32_t a
        int32_t b
        int32_t c
    int MAX_WIDTH "TG_MAX_WIDTH"
    int BUILT_AVX2 "TG_BUILT_AVX2"
    int BUILT_VECTOR_MATH "TG_BUILT_VECTOR_MATH"
    int has_avx2 "tg_has_avx2"
    int has_vector_math "tg_has_vector_math"
    int takes_scalars "tg_takes_scalars"(int op, int scalars)
    void find_kernels "tg_find_kernels"(int use_avx2, int use_vector_math)
    void run_lanes "tg_run_lanes"(const Step *steps, size_t count, double *lanes, const double *scalars, int width,
                                  int exact)
    void prefetch "TG_PREFETCH"(const char *p)
    ctypedef struct Operands "TgOperands":
        int32_t a
        int32_t b
        int32_t c
        int32_t node
    void sort_operands "tg_sort"(Operands *operands, size_t count, int c_first)
    void run_evenly "tg_run_evenly"(int op, int scalars, size_t count, const int32_t *a, const int32_t *b,
                                    const int32_t *c, double *v, double *y)
    void run_of "tg_run"(int op, size_t count, const int32_t *a, const int32_t *b, const int32_t *c, double *v, double *y)
    void run_mixed "tg_run_mixed"(const uint8_t *ops, size_t count, const int32_t *a, const int32_t *b, const int32_t *c,
                                  double *v, double *y)


cdef extern from "Python.h":
    void gc_untrack "PyObject_GC_UnTrack"(object)
    void gc_track "PyObject_GC_Track"(object)


find_kernels(os.environ.get("TAPEGRAD_AVX2") != "0", os.environ.get("TAPEGRAD_VECTOR_MATH") != "0")

BUILT_KERNELS = ("plain", "avx2") if BUILT_AVX2 else ("plain",)     # in this build, and then what is used on this machine
BUILT_WITH_VECTOR_MATH = bool(BUILT_VECTOR_MATH)
KERNELS = "avx2" if has_avx2 else "plain"
VECTOR_MATH = bool(has_vector_math)


cdef void *memory(size_t count, size_t width) except NULL:
    cdef void *new = NULL
    if count < (<size_t>-1) // 2 // width:
        new = PyMem_RawCalloc(count + 1, width)
    if new == NULL:
        raise MemoryError(f"no memory for a program of {count} entries")
    return new


cdef enum:
    LONG = 0x3fff               # nodes less one after which a long loop lets others through
    SPARE = 4                   # workspaces kept
    UNEVEN = 255
    MIXED = 254
    SHORT = 4                   # operations below which a run is not worth a loop of its own
    EVEN = 16                   # operations that a run has at least whose operands follow one another


cdef class Program:
    """Program(graph, outputs, guards=(), recorded=None)\n--\n\nA recorded function: numbers in, numbers out, immutable.

    inputs      how many numbers go in: the function's arguments, flattened, and then the Values it read
    outputs     how many come out
    operations  how many operations are computed; `recorded` is how many there were before optimising

    Call it with a sequence of floats; any number of threads may. `print` lists it. The values are those that the eager
    engine computes, to the last bit, except that 1/0, log(0) and the like are inf or nan as in IEEE 754. A point at
    which a branch of the recorded function would be taken otherwise is a ValueError that names the line.
    """
    cdef readonly Graph graph
    cdef readonly tuple outputs_at      # the nodes of the outputs
    cdef readonly tuple guards          # of (node, outcome, (file, line))
    cdef readonly int recorded
    cdef readonly int operations
    cdef readonly int inputs
    cdef int32_t runs                   # how many runs; run r is operation run_op[r] from run_start[r] on
    cdef uint8_t *run_op
    cdef uint8_t *run_scalars           # UNEVEN, MIXED, or which operands are one number for the whole run; others follow
    cdef int32_t *run_start
    cdef uint8_t *op                    # operation codes, in the order of the runs
    cdef int32_t *a                     # operand slots, likewise
    cdef int32_t *b
    cdef int32_t *c
    cdef int32_t slots
    cdef int32_t first                  # slot of the first operation; below are inputs and constants
    cdef double *numbers                # of the constants, which follow the inputs
    cdef int32_t *out                   # slots of the outputs and then of the guards
    cdef double *outcomes
    cdef int32_t out_count
    cdef int32_t guard_count
    cdef double *spare[SPARE]           # workspaces that nobody uses
    cdef int spares

    def __cinit__(self, Graph graph not None, outputs, guards=(), recorded=None):
        cdef list nodes = []
        cdef list kept = []                 # loops and no comprehensions: see value.pyx
        cdef list optimised
        gc_untrack(self)                    # nobody finds it, through the garbage collector, before it is whole
        for node, outcome, (file, line) in guards:
            kept.append((int(node), float(outcome), (PyUnicode_FromObject(str(file)), int(line))))
        for node in outputs:
            nodes.append(int(node))
        for node, _, _ in kept:
            nodes.append(node)
        guards = tuple(kept)
        for node in nodes:
            if not 0 <= node < graph.size:
                raise ValueError(f"there is no node {node} in a graph of {graph.size}")
        self.recorded = count_operations(graph) if recorded is None else recorded
        if self.recorded < 0:
            raise ValueError(f"recorded cannot be {recorded}")
        self.graph, optimised = graph.optimise(nodes)
        self.graph.sealed = True
        self.inputs = graph.inputs
        self.out_count = len(optimised) - len(guards)
        self.outputs_at = tuple(optimised[:self.out_count])
        self.guards = self.still_open(guards, optimised[self.out_count:])
        if self.guards_a_number(optimised[self.out_count:]):  # it may have been there for a guard that is not
            del optimised[self.out_count:]
            for node, _, _ in self.guards:
                optimised.append(node)
            self.graph, optimised = self.graph.optimise(optimised)
            self.graph.sealed = True
            self.outputs_at = tuple(optimised[:self.out_count])
            self.guards = self.still_open(self.guards, optimised[self.out_count:])
        self.guard_count = len(self.guards)
        self.operations = count_operations(self.graph)
        self.arrange()
        gc_track(self)

    cdef bint guards_a_number(self, list nodes) except -1:
        for node in nodes:
            if self.graph.op[<int32_t>node] == LEAF:
                return True
        return False

    cdef tuple still_open(self, tuple guards, list nodes):
        """The guards whose outcome is not known for good, each once."""
        cdef list left = []
        cdef set seen = set()
        for (_, outcome, where), node in zip(guards, nodes):
            if node in seen or self.graph.op[<int32_t>node] == LEAF and self.graph.value[<int32_t>node] == outcome:
                continue
            seen.add(node)
            left.append((node, outcome, where))
        return tuple(left)

    def __dealloc__(self):
        cdef int k
        for k in range(self.spares):
            PyMem_RawFree(self.spare[k])
        PyMem_RawFree(self.run_op)
        PyMem_RawFree(self.run_scalars)
        PyMem_RawFree(self.run_start)
        PyMem_RawFree(self.op)
        PyMem_RawFree(self.a)
        PyMem_RawFree(self.b)
        PyMem_RawFree(self.c)
        PyMem_RawFree(self.numbers)
        PyMem_RawFree(self.out)
        PyMem_RawFree(self.outcomes)

    # ---- to and from bytes ----

    def to_bytes(self):
        """The program as bytes, in the format of docs/programs.md."""
        from tapegrad.format import to_bytes

        return to_bytes(self)

    def save(self, path):
        """Write the program to a file, which `tapegrad.load` reads, in any process and on any machine: the file is there
        whole or, whatever happens, as it was."""
        from tapegrad.files import write_whole

        write_whole(path, self.to_bytes())

    def __reduce__(self):
        return from_bytes, (self.to_bytes(),)

    # ---- single points ----

    cdef int arrange(self) except -1:
        """Give every node a slot: inputs, constants, and the operations by level and operation code."""
        cdef Graph g = self.graph
        cdef int32_t n = g.size
        cdef int32_t *level = <int32_t *>memory(n, sizeof(int32_t))
        cdef int32_t *order = NULL
        cdef int32_t *slot = NULL
        cdef Operands *sorted_run = NULL
        cdef int32_t i, j, k, deepest = 0, constants = 0, count = 0
        cdef int operands
        cdef int32_t highest
        cdef int32_t rest = LONG
        try:
            order = <int32_t *>memory(n, sizeof(int32_t))
            slot = <int32_t *>memory(n, sizeof(int32_t))
            for i in range(n):
                if i & LONG == LONG:
                    breathe()
                operands = table[g.op[i]].operands
                if operands:
                    highest = level[g.a[i]]
                    if operands >= BINARY and level[g.b[i]] > highest:
                        highest = level[g.b[i]]
                    if operands == TERNARY and level[g.c[i]] > highest:
                        highest = level[g.c[i]]
                    level[i] = highest + 1
                    deepest = max(deepest, highest + 1)
                    count += 1
                elif g.op[i] == LEAF:
                    slot[i] = self.inputs + constants
                    constants += 1
                else:
                    slot[i] = g.a[i]
            self.numbers = <double *>memory(constants, sizeof(double))
            for i in range(n):
                if g.op[i] == LEAF:
                    self.numbers[slot[i] - self.inputs] = g.value[i]
            self.first = self.inputs + constants
            self.slots = self.first + count
            sort_by_level(g, level, deepest, order, count)
            self.op = <uint8_t *>memory(count, sizeof(uint8_t))
            self.a = <int32_t *>memory(count, sizeof(int32_t))
            self.b = <int32_t *>memory(count, sizeof(int32_t))
            self.c = <int32_t *>memory(count, sizeof(int32_t))
            self.run_op = <uint8_t *>memory(count, sizeof(uint8_t))
            self.run_start = <int32_t *>memory(count + 1, sizeof(int32_t))
            self.run_scalars = <uint8_t *>memory(count, sizeof(uint8_t))
            sorted_run = <Operands *>memory(count, sizeof(Operands))
            k = 0
            while k < count:
                if k >= rest:
                    rest = k + LONG
                    breathe()
                i = order[k]
                j = k
                operands = table[g.op[i]].operands
                while j < count and g.op[order[j]] == g.op[i] and level[order[j]] == level[i]:
                    sorted_run[j - k].node = order[j]
                    sorted_run[j - k].a = slot[g.a[order[j]]]
                    sorted_run[j - k].b = slot[g.b[order[j]]] if operands >= BINARY else 0
                    sorted_run[j - k].c = slot[g.c[order[j]]] if operands == TERNARY else 0
                    j += 1
                self.sort_run(sorted_run, g.op[i], k, j)
                self.take_operands(sorted_run, k, j)
                for highest in range(j - k):
                    slot[sorted_run[highest].node] = self.first + k + highest
                    self.op[k + highest] = g.op[i]
                self.cut(g.op[i], k, j, True)
                k = j
            self.run_start[self.runs] = count
            self.mix()
            self.out = <int32_t *>memory(self.out_count + self.guard_count, sizeof(int32_t))
            self.outcomes = <double *>memory(self.guard_count, sizeof(double))
            for k in range(self.out_count):
                self.out[k] = slot[<int32_t>self.outputs_at[k]]
            for k in range(self.guard_count):
                self.out[self.out_count + k] = slot[<int32_t>self.guards[k][0]]
                self.outcomes[k] = self.guards[k][1]
        finally:
            PyMem_RawFree(level)
            PyMem_RawFree(order)
            PyMem_RawFree(slot)
            PyMem_RawFree(sorted_run)
        return 0

    cdef void sort_run(self, Operands *run, int op, int32_t start, int32_t end) noexcept:
        """Sort a run so that operands follow one another: by b and then c, or by c and then b, whichever makes more even."""
        cdef int32_t even
        if end - start < EVEN:
            return
        sort_operands(run, end - start, False)
        if table[op].operands == TERNARY:
            self.take_operands(run, start, end)
            even = self.cut(op, start, end, False)
            sort_operands(run, end - start, True)
            self.take_operands(run, start, end)
            if self.cut(op, start, end, False) <= even:
                sort_operands(run, end - start, False)

    cdef void take_operands(self, const Operands *run, int32_t start, int32_t end) noexcept nogil:
        cdef int32_t k
        for k in range(start, end):
            self.a[k] = run[k - start].a
            self.b[k] = run[k - start].b
            self.c[k] = run[k - start].c

    cdef int32_t cut(self, int op, int32_t start, int32_t end, bint really) noexcept:
        """Cut a run into even and uneven ones, and count the operations of even ones."""
        cdef int32_t even = 0
        cdef int32_t k = start, j, da, db, dc
        cdef int scalars
        cdef int operands = table[op].operands
        cdef int32_t uneven = start
        while k < end - 1:
            da = self.a[k + 1] - self.a[k]
            db = self.b[k + 1] - self.b[k] if operands >= BINARY else 1
            dc = self.c[k + 1] - self.c[k] if operands == TERNARY else 1
            j = k + 1
            while j < end and self.a[j] - self.a[j - 1] == da and (operands < BINARY or self.b[j] - self.b[j - 1] == db) \
                    and (operands != TERNARY or self.c[j] - self.c[j - 1] == dc):
                j += 1
            scalars = (da == 0) | (db == 0) << 1 | (dc == 0) << 2
            if 0 <= da <= 1 and 0 <= db <= 1 and 0 <= dc <= 1 and j - k >= EVEN and takes_scalars(op, scalars):
                even += j - k
                if really:
                    if uneven < k:
                        self.new_run(op, uneven, UNEVEN)
                    self.new_run(op, k, scalars)
                uneven = j
                k = j
            else:
                k = j - 1 if j - 1 > k else k + 1
        if really and uneven < end:
            self.new_run(op, uneven, UNEVEN)
        return even

    cdef void new_run(self, int op, int32_t start, int scalars) noexcept:
        self.run_op[self.runs] = <uint8_t>op
        self.run_start[self.runs] = start
        self.run_scalars[self.runs] = <uint8_t>scalars
        self.runs += 1

    cdef void mix(self) noexcept nogil:
        """Put short uneven runs that follow one another together: a chain is a loop over operations, not over runs.

        What is mixed may use what stands before it."""
        cdef int32_t r, kept = 0
        cdef bint short
        for r in range(self.runs):
            short = self.run_scalars[r] == UNEVEN and self.run_start[r + 1] - self.run_start[r] < SHORT
            if short and kept and self.run_scalars[kept - 1] == MIXED:
                continue
            self.run_op[kept] = self.run_op[r]
            self.run_start[kept] = self.run_start[r]
            self.run_scalars[kept] = MIXED if short else self.run_scalars[r]
            kept += 1
        self.run_start[kept] = self.run_start[self.runs]
        self.runs = kept

    cdef double *workspace(self) except NULL:
        """Room for the numbers of one replay, the constants in it."""
        cdef double *v
        if self.spares:
            self.spares -= 1
            return self.spare[self.spares]
        v = <double *>memory(self.slots, sizeof(double))
        memcpy(v + self.inputs, self.numbers, (self.first - self.inputs) * sizeof(double))
        return v

    cdef void give_back(self, double *v) noexcept:
        if self.spares < SPARE:
            self.spare[self.spares] = v
            self.spares += 1
        else:
            PyMem_RawFree(v)

    cdef void evaluate(self, double *v) noexcept nogil:
        cdef int32_t r, start
        for r in range(self.runs):
            start = self.run_start[r]
            if self.run_scalars[r] == MIXED:
                run_mixed(self.op + start, self.run_start[r + 1] - start, self.a + start, self.b + start, self.c + start,
                          v, v + self.first + start)
            elif self.run_scalars[r] == UNEVEN:
                run_of(self.run_op[r], self.run_start[r + 1] - start, self.a + start, self.b + start, self.c + start, v,
                       v + self.first + start)
            else:
                run_evenly(self.run_op[r], self.run_scalars[r], self.run_start[r + 1] - start, self.a + start,
                           self.b + start, self.c + start, v, v + self.first + start)

    def run(self, const double[::1] x not None, double[::1] out not None):
        """Compute the outputs at x into out, without allocating; None, or (guard, outcome) of the first guard that comes
        out differently, where out is not to be used."""
        cdef int32_t failed
        cdef double outcome = 0.0
        if x.shape[0] != self.inputs or out.shape[0] != self.out_count:
            raise ValueError(f"a program of {self.inputs} inputs and {self.out_count} outputs was given arrays of "
                             f"{x.shape[0]} and {out.shape[0]}")
        failed = self.compute(&x[0], &out[0], &outcome)
        return None if failed < 0 else (failed, outcome)

    cdef int32_t compute(self, const double *x, double *out, double *outcome) except -2:
        """The outputs at x; of guards the first that comes out differently, or -1, and what comes out."""
        cdef int32_t k, failed = -1
        cdef double *v = self.workspace()
        with nogil:
            for k in range(self.inputs):
                v[k] = x[k]
            self.evaluate(v)
            for k in range(self.guard_count):
                if v[self.out[self.out_count + k]] != self.outcomes[k]:
                    failed = k
                    outcome[0] = v[self.out[self.out_count + k]]
                    break
            for k in range(self.out_count):
                out[k] = v[self.out[k]]
        self.give_back(v)
        return failed

    def __call__(self, x):
        """The outputs at x, a sequence of `inputs` numbers, as an array of float64."""
        import numpy as np

        x = np.ascontiguousarray(x, dtype=np.float64).ravel()
        out = np.empty(self.out_count)
        failed = self.run(x, out)
        if failed is not None:
            raise ValueError(f"{shown_line(self.guards[failed[0]][2])}: here the recorded function goes another way at "
                             "this point; a program alone cannot be recorded anew")
        return out

    @property
    def outputs(self):
        """How many numbers come out."""
        return self.out_count

    def __repr__(self):
        guards = f", {self.guard_count} guards" if self.guard_count else ""
        return (f"<Program: {self.inputs} inputs, {self.out_count} outputs, {self.operations} operations "
                f"(recorded: {self.recorded}){guards}>")

    def __str__(self):
        lines = self.listing()
        if len(lines) > 200:
            gap = f"  ... {len(lines) - 200} more lines; listing() has them all ..."
            lines = [*lines[:100], gap, *lines[len(lines) - 100:]]
        return "\n".join([repr(self), *lines])

    def listing(self):
        """The program as lines of text, one an operation."""
        cdef Graph g = self.graph
        cdef int32_t i
        cdef list lines = []
        cdef list names = []
        cdef dict guarded = {}
        for node, outcome, where in self.guards:
            guarded[node] = (outcome, shown_line(where))
        for i in range(g.size):
            if i & LONG == LONG:
                breathe()
            if g.op[i] > CUSTOM:
                lines.append(f"  {self.name(i)} = {self.shown(i)}")
            if i in guarded:
                outcome, where = guarded[i]
                lines.append(f"  guard {self.name(i)} is {outcome:g}   # {where}")
        for node in self.outputs_at:
            names.append(self.name(node))
        lines.append("  return " + ", ".join(names))
        return lines

    cdef str name(self, int32_t i):
        cdef Graph g = self.graph
        return f"x{g.a[i]}" if g.op[i] == CUSTOM else repr(g.value[i]) if g.op[i] == LEAF else f"t{i}"

    cdef str shown(self, int32_t i):
        cdef Graph g = self.graph
        cdef str label = OPERATIONS[g.op[i]]
        a, b, c = self.name(g.a[i]), self.name(g.b[i]), self.name(g.c[i])
        if label == "madd" or label == "zmadd":
            return f"{a} + {b} * {c}"
        if label == "nmadd":
            return f"{a} - {b} * {c}"
        if label == "zmul" or label == "tmul":
            return f"{a} * {b}"
        if label == "**n":
            return f"{a} ** {b}"
        if not label.isalnum() and "_" not in label:
            return f"{a} {label} {b}"
        if table[g.op[i]].operands == TERNARY:
            return f"{label}({a}, {b}, {c})"
        return f"{label}({a}, {b})" if table[g.op[i]].operands >= BINARY else f"{label}({a})"


cdef str shown_line(tuple where):
    """A line of a source file as text to be shown: the name may be of a file that somebody else has made."""
    from tapegrad.wording import clean

    return f"{clean(where[0], 1000)}:{where[1]}"


def from_bytes(data):
    """The program of `Program.to_bytes`; a ValueError where the bytes are none, a TypeError for what is no bytes."""
    from tapegrad.format import from_bytes as read

    return read(data)


def load(path):
    """The program that `Program.save` wrote; a ValueError where the file is not one, or is damaged."""
    file = open(path, "rb")         # no `with`, in which Cython's code crashes where there is no memory for a traceback
    try:
        data = file.read()
    finally:
        file.close()
    return from_bytes(data)


def show_config():
    """Print which loops are used on this machine, and what this build has to choose from."""
    print(f"lanes: {KERNELS} kernels, {'libmvec' if VECTOR_MATH else 'the scalar math library'}")
    library = "libmvec where there is one" if BUILT_WITH_VECTOR_MATH else "no vector math library"
    print(f"this build has: {' and '.join(BUILT_KERNELS)} kernels, {library}")


OPERATIONS = tuple([table[k].label.decode() for k in range(ALL_COUNT)])


cdef int count_operations(Graph g) noexcept:
    cdef int32_t i
    cdef int count = 0
    for i in range(g.size):
        count += g.op[i] > CUSTOM
    return count


cdef int sort_by_level(Graph g, const int32_t *level, int32_t deepest, int32_t *order, int32_t count) except -1:
    """Into `order` the operations, by level, within a level by operation code, and else as they come."""
    cdef int32_t *by_op = <int32_t *>memory(count, sizeof(int32_t))
    cdef int32_t *start = NULL
    cdef int32_t i, k, total
    cdef int32_t at[256]
    try:
        start = <int32_t *>memory(deepest + 2, sizeof(int32_t))
        for k in range(256):
            at[k] = 0
        for i in range(g.size):
            if g.op[i] > CUSTOM:
                at[g.op[i]] += 1
                start[level[i]] += 1
        total = 0
        for k in range(256):
            total += at[k]
            at[k] = total - at[k]
        total = 0
        for k in range(deepest + 1):
            total += start[k]
            start[k] = total - start[k]
        for i in range(g.size):
            if g.op[i] > CUSTOM:
                by_op[at[g.op[i]]] = i
                at[g.op[i]] += 1
        for k in range(count):
            i = by_op[k]
            order[start[level[i]]] = i
            start[level[i]] += 1
    finally:
        PyMem_RawFree(by_op)
        PyMem_RawFree(start)
    return 0


# ---- batches ----

cdef class Lanes:
    """Lanes(program, wide, guards=False, exact=False)\n--\n\nA program laid out for batches.

    wide    bytes, one an input: not 0 where every sample has a number of its own
    guards  compute the guards in place of the outputs
    exact   use the scalar math library, for the bits of single points
    """
    cdef readonly Program shared        # what does not depend on the sample: computed once, its outputs are the scalars
    cdef readonly int width             # lanes of a block
    cdef readonly int chunk             # samples that are summed up by themselves, whichever thread does it
    cdef readonly int inputs
    cdef readonly int outputs
    cdef readonly int operations
    cdef readonly tuple wide            # which inputs are read sample by sample
    cdef bint exact
    cdef Step *steps
    cdef int32_t count
    cdef int32_t slots
    cdef int32_t *in_slot               # by wide input
    cdef int32_t *out                   # by output: a slot, or ~k for scalar k
    cdef double *outcomes               # of the guards; NULL for outputs

    def __cinit__(self, Program program not None, const unsigned char[::1] wide not None, bint guards=False, bint exact=False):
        cdef Graph g = program.graph
        cdef list wanted = []
        cdef uint8_t *varies = NULL
        gc_untrack(self)                    # see Program
        if wide.shape[0] != program.inputs:
            raise ValueError(f"{wide.shape[0]} flags for {program.inputs} inputs")
        if guards:
            for guard in program.guards:
                wanted.append(guard[0])
        else:
            for node in program.outputs_at:     # no `+=`, in which CPython 3.11 loses the tuple where memory is short
                wanted.append(node)
        self.exact = exact or not has_vector_math
        self.inputs = program.inputs
        self.outputs = len(wanted)
        if guards:
            self.outcomes = <double *>memory(self.outputs, sizeof(double))
            for k, guard in enumerate(program.guards):
                self.outcomes[<int>k] = guard[1]
        varies = <uint8_t *>memory(g.size, 1)
        try:
            self.lay_out(g, wanted, wide, varies)
        finally:
            PyMem_RawFree(varies)
        gc_track(self)

    def __dealloc__(self):
        PyMem_RawFree(self.steps)
        PyMem_RawFree(self.in_slot)
        PyMem_RawFree(self.out)
        PyMem_RawFree(self.outcomes)

    cdef int lay_out(self, Graph g, list wanted, const unsigned char[::1] wide, uint8_t *varies) except -1:
        cdef int32_t n = g.size
        cdef int32_t i, k, count = 0, free_count = 0
        cdef int operands, position, mask, temporaries, spare = 0
        cdef bint copied
        cdef int32_t operand[3]
        cdef int32_t *last = NULL           # the step that uses a node last
        cdef int32_t *slot = NULL
        cdef int32_t *free_slots = NULL
        cdef uint8_t *needed = NULL
        cdef dict scalars = {}              # node: number of the scalar
        cdef list wide_inputs = []
        cdef Step *s
        try:
            last = <int32_t *>memory(n, sizeof(int32_t))
            slot = <int32_t *>memory(n, sizeof(int32_t))
            free_slots = <int32_t *>memory(n, sizeof(int32_t))
            needed = <uint8_t *>memory(n, 1)
            for node in wanted:
                needed[<int32_t>node] = 1
            g.need_operands(needed, n)
            for i in range(n):
                if i & LONG == LONG:
                    breathe()
                operands = table[g.op[i]].operands
                last[i] = -1
                if g.op[i] == CUSTOM:
                    varies[i] = needed[i] and wide[g.a[i]]
                    if varies[i]:
                        wide_inputs.append(g.a[i])
                elif operands:
                    varies[i] = needed[i] and (varies[g.a[i]] or operands >= BINARY and varies[g.b[i]]
                                               or operands == TERNARY and varies[g.c[i]])
                    count += varies[i]
            self.steps = <Step *>memory(4 * <size_t>count, sizeof(Step))
            self.in_slot = <int32_t *>memory(len(wide_inputs), sizeof(int32_t))
            self.out = <int32_t *>memory(self.outputs, sizeof(int32_t))
            for i in range(n):
                if varies[i] and g.op[i] > CUSTOM:
                    operands = table[g.op[i]].operands
                    last[g.a[i]] = i
                    if operands >= BINARY:
                        last[g.b[i]] = i
                    if operands == TERNARY:
                        last[g.c[i]] = i
            for node in wanted:
                last[<int32_t>node] = n
            k = 0
            for i in range(n):
                if varies[i] and g.op[i] == CUSTOM:
                    slot[i] = self.slots
                    self.in_slot[k] = self.slots
                    self.slots += 1
                    k += 1
            for i in range(n):
                if i & LONG == LONG:
                    breathe()
                if not varies[i] or g.op[i] == CUSTOM:
                    continue
                operands = table[g.op[i]].operands
                operand[0] = g.a[i]
                operand[1] = g.b[i] if operands >= BINARY else operand[0]
                operand[2] = g.c[i] if operands == TERNARY else operand[0]
                operands = 3 if operands == TERNARY else 2 if operands >= BINARY else 1
                if free_count:
                    free_count -= 1
                    slot[i] = free_slots[free_count]
                else:
                    slot[i] = self.slots
                    self.slots += 1
                mask = 0
                for position in range(operands):
                    if not varies[operand[position]]:
                        mask |= 1 << position
                copied = not takes_scalars(g.op[i], mask)   # then the operands are copied into lanes first
                temporaries = 0
                for position in range(operands):
                    if mask & 1 << position:
                        operand[position] = scalars.setdefault(operand[position], len(scalars))
                        if copied:
                            s = &self.steps[self.count]
                            self.count += 1
                            s.op = COPY
                            s.scalars = 1
                            s.y = self.slots + temporaries
                            s.a = operand[position]
                            operand[position] = s.y
                            temporaries += 1
                    else:
                        if last[operand[position]] == i:
                            last[operand[position]] = -1    # once, if it is both operands
                            free_slots[free_count] = slot[operand[position]]
                            free_count += 1
                        operand[position] = slot[operand[position]]
                spare = max(spare, temporaries)
                s = &self.steps[self.count]
                self.count += 1
                s.op = g.op[i]
                s.scalars = 0 if copied else <uint8_t>mask
                s.y = slot[i]
                s.a = operand[0]
                s.b = operand[1] if operands > 1 else 0
                s.c = operand[2] if operands > 2 else 0
            k = 0
            for node in wanted:
                self.out[k] = slot[<int32_t>node] if varies[<int32_t>node] else \
                    ~<int32_t>scalars.setdefault(node, len(scalars))
                k += 1
        finally:
            PyMem_RawFree(last)
            PyMem_RawFree(slot)
            PyMem_RawFree(free_slots)
            PyMem_RawFree(needed)
        self.slots += spare
        self.operations = self.count
        self.wide = tuple(wide_inputs)
        self.shared = Program(g, list(scalars))
        if self.shared is None or self.shared.out_count != len(scalars) or self.shared.inputs != self.inputs:
            raise TypeError("Program makes something else than it was asked for")   # the program has patched it
        self.width = MAX_WIDTH
        while self.width > 16 and <int64_t>self.slots * self.width * 8 > 2 * 1024 * 1024:
            self.width //= 2
        self.chunk = self.width * max(1, min(1024, 4000000 // (self.width * (self.count + 1))))
        return 0


ctypedef struct Column:
    char *at
    Py_ssize_t stride
    char format


cdef double fetch(const char *p, char format) noexcept nogil:
    """One number of any type that columns may have."""
    if format == b"d":
        return (<double *>p)[0]
    if format == b"f":
        return (<float *>p)[0]
    if format == b"?":
        return (<uint8_t *>p)[0] != 0
    if format == b"b":
        return (<int8_t *>p)[0]
    if format == b"B":
        return (<uint8_t *>p)[0]
    if format == b"h":
        return (<int16_t *>p)[0]
    if format == b"H":
        return (<uint16_t *>p)[0]
    if format == b"i":
        return (<int32_t *>p)[0]
    if format == b"I":
        return (<uint32_t *>p)[0]
    if format == b"q":
        return <double>(<int64_t *>p)[0]
    return <double>(<uint64_t *>p)[0]


cdef class Job:
    """Job(lanes, columns, shared, size, indices, outs)\n--\n\nOne run over a batch.

    columns  for each of `lanes.wide` a buffer of `size` numbers, strided as one likes
    shared   an array of `lanes.inputs` floats; those of wide inputs are not looked at
    indices  None, or an int64 array: the samples to take, in this order
    outs     for each output a writable buffer of `size` floats, or None where the samples are to be summed up
    """
    cdef readonly Lanes lanes
    cdef readonly int64_t size              # samples to be taken
    cdef readonly int64_t chunks
    cdef int64_t samples                    # in the columns
    cdef double *scalars
    cdef int64_t *indices                   # or NULL: all samples, in their order
    cdef Py_buffer *buffers
    cdef int held
    cdef Column *columns
    cdef Column *outs
    cdef int summed
    cdef int wide_count
    cdef double *spare[SPARE]               # workspaces that no thread uses
    cdef int spares

    def __cinit__(self, Lanes lanes not None, list columns not None, const double[::1] shared not None, int64_t size,
                  const int64_t[::1] indices, list outs not None):
        cdef int64_t k
        cdef int wide = len(lanes.wide)
        cdef double outcome = 0.0           # the program of what is shared has no guards
        gc_untrack(self)                    # see Program
        if len(columns) != wide or len(outs) != lanes.outputs or shared.shape[0] != lanes.inputs or size < 0:
            raise ValueError("columns, outs or shared inputs do not fit the program")
        self.lanes = lanes
        self.samples = size
        self.wide_count = wide
        self.scalars = <double *>memory(lanes.shared.out_count, sizeof(double))
        lanes.shared.compute(&shared[0], self.scalars, &outcome)
        self.size = size
        if indices is not None:             # a copy: nobody changes it afterwards
            self.size = indices.shape[0]
            self.indices = <int64_t *>memory(self.size, sizeof(int64_t))
            for k in range(self.size):
                self.indices[k] = indices[k]
                if not 0 <= self.indices[k] < size:
                    raise IndexError(f"there is no sample {self.indices[k]}")
        self.chunks = self.size // lanes.chunk + (self.size % lanes.chunk != 0)
        self.buffers = <Py_buffer *>memory(wide + lanes.outputs, sizeof(Py_buffer))
        self.columns = <Column *>memory(wide, sizeof(Column))
        self.outs = <Column *>memory(lanes.outputs, sizeof(Column))
        with cython.boundscheck(True):      # taking a buffer may run code, and that may change the lists
            for k in range(wide):
                self.take(columns[k], &self.columns[k], PyBUF_STRIDED_RO | PyBUF_FORMAT)
            for k in range(lanes.outputs):
                out = outs[k]
                if out is None:
                    self.summed += 1
                    continue
                self.take(out, &self.outs[k], PyBUF_STRIDED | PyBUF_FORMAT)
                if self.outs[k].format != b"d":
                    raise ValueError("outputs must be written to float64")
        gc_track(self)

    @property
    def sums(self):
        """How many outputs are summed up."""
        return self.summed

    cdef int take(self, object array, Column *column, int flags) except -1:
        cdef Py_buffer *view = &self.buffers[self.held]
        cdef bytes format
        PyObject_GetBuffer(array, view, flags)
        self.held += 1
        format = view.format if view.format != NULL else b"B"
        if format == b"l" or format == b"L":
            format = (b"q" if format == b"l" else b"Q") if view.itemsize == 8 else b"i" if format == b"l" else b"I"
        if view.ndim != 1 or view.shape[0] != self.samples or format not in FORMATS or FORMATS[format] != view.itemsize:
            raise ValueError(f"a column must have {self.samples} real numbers, not a buffer of {view.ndim} axes, "
                             f"{view.len} bytes and format {format.decode()!r}")
        column.at = <char *>view.buf
        column.stride = view.strides[0]
        column.format = format[0]
        return 0

    def __dealloc__(self):
        cdef int k
        for k in range(self.held):
            PyBuffer_Release(&self.buffers[k])
        for k in range(self.spares):
            PyMem_RawFree(self.spare[k])
        PyMem_RawFree(self.buffers)
        PyMem_RawFree(self.columns)
        PyMem_RawFree(self.outs)
        PyMem_RawFree(self.scalars)
        PyMem_RawFree(self.indices)

    cdef inline bint in_tiles(self, const Column *column) noexcept nogil:
        """Whether it is a column of an array whose samples are rows."""
        return column.format == b"d" and column.stride != sizeof(double)

    cdef void fill_tiles(self, double *lanes, int64_t first, int width) noexcept nogil:
        """Columns of arrays whose samples are rows: 8 rows at a time, so that what is written are whole cache lines, and the
        8 rows after them fetched meanwhile. Column by column, Heston's paths waited for memory a quarter of the time."""
        cdef int k, lane, start
        cdef const Column *column
        cdef double *v
        cdef const char *p
        for start in range(0, width, 8):
            for k in range(self.wide_count):
                column = &self.columns[k]
                if self.in_tiles(column):
                    v = lanes + <size_t>self.lanes.in_slot[k] * width + start
                    p = column.at + (first + start) * column.stride
                    for lane in range(8):
                        v[lane] = (<double *>(p + lane * column.stride))[0]
                    if k % 8 == 0:                          # a cache line of the 8 rows after these
                        for lane in range(8, 16):
                            prefetch(p + lane * column.stride)

    cdef void fill(self, double *lanes, int64_t first, int count, int width) noexcept nogil:
        """Load `count` samples; the lanes left over get the last one again."""
        cdef int k, lane
        cdef Column *column
        cdef double *v
        cdef const char *p
        cdef bint tiled = count == width and self.indices == NULL
        if tiled:
            self.fill_tiles(lanes, first, width)
        for k in range(self.wide_count):
            column = &self.columns[k]
            if tiled and self.in_tiles(column):
                continue
            v = lanes + <size_t>self.lanes.in_slot[k] * width
            if self.indices != NULL:
                for lane in range(count):
                    v[lane] = fetch(column.at + self.indices[first + lane] * column.stride, column.format)
            elif column.format == b"d" and column.stride == sizeof(double):
                p = column.at + first * <Py_ssize_t>sizeof(double)
                memcpy(v, p, count * sizeof(double))
                for lane in range(0, width, 8):             # what comes next: another function's loads wait for nothing
                    prefetch(p + (width + lane) * <Py_ssize_t>sizeof(double))
            elif column.format == b"d":
                p = column.at + first * column.stride
                for lane in range(count):
                    v[lane] = (<double *>(p + lane * column.stride))[0]
            else:
                p = column.at + first * column.stride
                for lane in range(count):
                    v[lane] = fetch(p + lane * column.stride, column.format)
            for lane in range(count, width):
                v[lane] = v[count - 1]

    cdef void store(self, double *lanes, int64_t first, int count, int width, double *sums) noexcept nogil:
        cdef int k, lane, s = 0
        cdef int32_t slot
        cdef Column *out
        cdef double x
        cdef const double *v
        for k in range(self.lanes.outputs):
            slot = self.lanes.out[k]
            out = &self.outs[k]
            v = lanes + <size_t>slot * width if slot >= 0 else NULL
            x = self.scalars[~slot] if slot < 0 else 0.0
            if out.at == NULL:
                if v != NULL:
                    for lane in range(count):
                        sums[s * width + lane] += v[lane]
                else:
                    for lane in range(count):
                        sums[s * width + lane] += x
                s += 1
            elif self.indices != NULL:
                for lane in range(count):
                    (<double *>(out.at + self.indices[first + lane] * out.stride))[0] = v[lane] if v != NULL else x
            elif v != NULL and out.stride == sizeof(double):
                memcpy(out.at + first * <Py_ssize_t>sizeof(double), v, count * sizeof(double))
            elif v != NULL:
                for lane in range(count):
                    (<double *>(out.at + (first + lane) * out.stride))[0] = v[lane]
            else:
                for lane in range(count):
                    (<double *>(out.at + (first + lane) * out.stride))[0] = x

    cdef void probe(self, double *lanes, int64_t first, int count, int width, int32_t[::1] failed,
                    double[::1] outcomes) noexcept nogil:
        """The first guard that comes out differently, by sample; -1 for none."""
        cdef int k, lane
        cdef int32_t slot
        cdef double x
        for lane in range(count):
            failed[first + lane] = -1
        for k in range(self.lanes.outputs - 1, -1, -1):
            slot = self.lanes.out[k]
            for lane in range(count):
                x = lanes[<size_t>slot * width + lane] if slot >= 0 else self.scalars[~slot]
                if x != self.lanes.outcomes[k]:
                    failed[first + lane] = k
                    outcomes[first + lane] = x

    def run(self, int64_t chunk, double[::1] sums, int32_t[::1] failed=None, double[::1] outcomes=None):
        """Run one chunk: outputs into the outs, or their sums over its samples into `sums`; of guards the first one that
        fails into `failed`, with what came out."""
        cdef int width = self.lanes.width
        cdef double *lanes = NULL
        cdef double *partial = NULL
        cdef int64_t first, end
        cdef int count, k, lane
        cdef bint probing = self.lanes.outcomes != NULL
        if not 0 <= chunk < self.chunks:
            raise IndexError(f"there is no chunk {chunk}")
        first = chunk * self.lanes.chunk
        end = self.size if self.size - first <= self.lanes.chunk else first + self.lanes.chunk
        if probing and (failed is None or outcomes is None or failed.shape[0] != self.size
                        or outcomes.shape[0] != self.size):
            raise ValueError("guards need arrays for what comes out")
        if self.summed and (sums is None or sums.shape[0] != self.summed):
            raise ValueError(f"sums must have {self.summed} entries")
        if self.spares:
            self.spares -= 1
            lanes = self.spare[self.spares]
        else:
            lanes = <double *>memory(<size_t>(self.lanes.slots + self.summed) * width, sizeof(double))
        partial = lanes + <size_t>self.lanes.slots * width
        try:
            with nogil:
                for k in range(self.summed * width):
                    partial[k] = 0.0
                while first < end:
                    count = <int>min(width, end - first)
                    self.fill(lanes, first, count, width)
                    run_lanes(self.lanes.steps, self.lanes.count, lanes, self.scalars, width, self.lanes.exact)
                    if probing:
                        self.probe(lanes, first, count, width, failed, outcomes)
                    else:
                        self.store(lanes, first, count, width, partial)
                    first += count
                for k in range(self.summed):
                    sums[k] = 0.0
                    for lane in range(width):
                        sums[k] += partial[k * width + lane]
        finally:
            if self.spares < SPARE:
                self.spare[self.spares] = lanes
                self.spares += 1
            else:
                PyMem_RawFree(lanes)


cdef dict FORMATS = {b"d": 8, b"f": 4, b"?": 1, b"b": 1, b"B": 1, b"h": 2, b"H": 2, b"i": 4, b"I": 4, b"q": 8, b"Q": 8}

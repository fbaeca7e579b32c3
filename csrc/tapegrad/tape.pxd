# cython: language_level=3
"""The tape: every operation of every graph, one node an entry, in flat arrays.

A node is pushed after its operands, so that an index is larger than those of the operands. A live Python object that
stands for a node is its *handle*; the tape knows its handles, because nodes move when garbage is squeezed out.
"""
from cpython.object cimport PyObject
from libc.stdint cimport int32_t, int64_t, uint8_t

# flags beside a node's adjoint; bits 0 and 1 are the kind of number that `grad` is shown as
cdef enum:
    GRAD_KIND = 0x03
    REACHED = 0x40          # by the mark of the compaction under way
    VISITED = 0x80          # by the sort under way

# flag beside a node's value; bits 0 and 1 are the kind of number that `data` is shown as
cdef enum:
    KIND = 0x03
    RECORDED = 0x20         # made by a recording under way, or from what one has made; known once somebody has asked
    LEAKED = 0x40           # made by an operation of recordings only, and kept by the program after the recording
    PARKED = 0x80

# PARKED: the program has dropped the handle and the tape owns it, because it carries plain attributes (a label, an
# optimiser's numbers) that whoever walks the graph must find again. It does not keep its node alive; it goes with it.

ctypedef struct Indices:    # a growing array of node indices
    int32_t *at
    size_t size
    size_t capacity

ctypedef struct Sweep:      # a sweep under way. Not on C's stack, which may be put aside while the program's code runs
    Indices order           # the nodes still to take, the next one last; they are remapped when nodes move
    Indices stack           # scratch of the sort
    PyObject **alive        # references to the handles of custom nodes, whose functions may drop any of them
    size_t alive_size
    size_t alive_capacity
    int32_t top             # no node in `order` is above this one
    unsigned long thread
    Sweep *before           # the one that began before this one, of those under way

ctypedef struct Stretch:    # nodes that one thread has pushed while there were recordings, up to the next stretch
    int32_t first
    unsigned long thread
    bint recorded           # by a recording of that thread


cdef extern from "handle.h" nogil:
    ctypedef struct Handle "TgHandle":
        int32_t index               # the node's index; 0 for none: node 0 is nobody's, a number 0 that always is there
        PyObject *state             # see Extra
        PyObject *attrs             # its __dict__
        PyObject *weakrefs


cdef class Extra:
    """Python state of one node, beyond what the tape holds.

    A handle's `state` is NULL for nearly all. Otherwise it is an Extra, where the node has Python state of its own, or
    else what keeps alive the handles with Python state that the node is built on: such a handle, or a tuple of such,
    nested. So whoever can reach such state on the tape also owns it in a way that the cycle collector sees.

    children  what the sort visits below a CUSTOM node; None for a built-in one
    backward  the program's own function for the sweep to call; BUILT_IN for none
    partials  the local derivatives that the program gave, a number for each child, or None
    op        what `_op` shows; None for the operation's own name
    code      of a CUSTOM node that was built in before the program replaced something: the operation; its operands are
              still those on the tape, whatever the children are
    keep      what the handle's state would be without this Extra, or None
    place     of a handle that waits (see value.pyx): its place in that list, from 1; else 0
    settling  whether a look at what is built on those that wait is under way, which began with this one among them
    dropped   whether the program has dropped a handle that waits, so that the list owns it
    """
    cdef tuple children
    cdef object backward
    cdef tuple partials
    cdef object op
    cdef int code
    cdef object keep
    cdef Py_ssize_t place
    cdef bint settling
    cdef bint dropped


cdef class Still:
    """From `__enter__` to `__exit__` no node moves or goes. For short: nothing is reclaimed meanwhile."""
    cdef unsigned long thread
    cdef bint entered
    cdef Still before                       # the one that was entered before this one, of those under way

    cdef int begin(self) except -1
    cdef void end(self) noexcept


cdef class Recording:
    """What a recorder is: from `__enter__` to `__exit__` the thread's operations are recorded by it.

    In C because leaving must take no memory: a recording that did not end would pin its nodes for good.
    """
    cdef readonly int32_t start             # the first node that can be its own; remapped when nodes move
    cdef unsigned long thread
    cdef bint entered
    cdef Recording before                   # the one that was entered before this one, of those under way


cdef class Tape:
    cdef uint8_t *op                # operation code, a row of ops.h
    cdef uint8_t *kind              # kind of the value, and PARKED
    cdef uint8_t *flags             # kind of the grad, and the marks
    cdef int32_t *a                 # first operand; a node without operands names itself
    cdef int32_t *b                 # second operand or constant; the first again where there is none
    cdef double *value
    cdef double *grad               # the adjoint
    cdef Handle **handle            # the live handle, or NULL (borrowed unless PARKED)
    cdef int32_t size               # nodes in use
    cdef int32_t limit              # at this size `reserve` must be asked: the least of the next three
    cdef int32_t enough             # what `limit` is when nobody records; then every push is asked for
    cdef int32_t allocated          # nodes that there is memory for
    cdef int32_t max_size           # nodes allowed
    cdef int32_t compact_at         # at this size garbage is squeezed out
    cdef int32_t lowest             # nodes below this one are not popped: sweeps and recordings under way need them
    cdef Sweep *sweeps              # the latest of those under way, or NULL
    cdef Sweep *spare               # of a sweep that is over, for the next one, or NULL
    cdef int recordings             # how many are under way
    cdef int32_t first_recorded     # where the first of those under way began, or of those that overlapped with it
    cdef Stretch *stretches         # who has pushed what since
    cdef size_t stretch_count
    cdef size_t stretch_capacity
    cdef bint recorders_changed     # since the last push that was noted
    cdef int32_t looked_at          # up to here RECORDED is known
    cdef void (*break_cycles)(Tape) noexcept        # lets go of Values that only their own closures keep; or NULL
    cdef void (*settle)(Tape) noexcept              # see value.pyx: those that wait; or NULL
    cdef void (*outlive)(Handle *) noexcept         # see value.pyx: what is there when its recording ends; or NULL

    cdef int reserve(self, int32_t count) except -1
    cdef int grow(self, int64_t needed) except -1
    cdef void set_limit(self) noexcept
    cdef void set_lowest(self) noexcept
    cdef void squeeze(self) noexcept
    cdef int32_t mark(self, int32_t *orphans) noexcept nogil
    cdef void move(self, int32_t *moved, Handle **dead) noexcept
    cdef void move_holders(self, const int32_t *moved, int32_t size) noexcept
    cdef void pop(self) noexcept
    cdef int note_owner(self) except -1
    cdef Stretch *owner(self, int32_t node) noexcept nogil
    cdef Recording recorder(self)
    cdef bint is_recorded(self, int32_t node) noexcept
    cdef bint is_of_another_recording(self, int32_t node) noexcept
    cdef void end_recording(self, Recording r) noexcept
    cdef int sweep(self, int32_t root) except -1
    cdef void forget(self, const int32_t *nodes, size_t count) noexcept nogil
    cdef void forget_stack(self, const Indices *stack) noexcept nogil
    cdef int sort(self, int32_t root, Sweep *s) noexcept
    cdef int push_children(self, Extra extra, Sweep *s) noexcept
    cdef void end_sweep(self, Sweep *s) noexcept
    cdef int pull_custom(self, int32_t node, bint by_function) except -1
    cdef int pull_at(self, int32_t node) except -1


cdef void *resized(void *old, int64_t count, size_t width) except NULL


cdef inline int room(Tape t, int32_t count) except -1:
    """Make sure that `count` pushes will succeed; 1 if this thread is recording. Nodes may move: read indices afterwards."""
    if t.size > t.limit - count:
        return t.reserve(count)
    return 0


cdef inline int32_t push(Tape t, int op, int32_t a, int32_t b, double value, int kind) noexcept nogil:
    """Append a node, for which `room` was made, and return its index."""
    cdef int32_t i = t.size
    t.op[i] = <uint8_t>op
    t.kind[i] = <uint8_t>kind
    t.flags[i] = 1                  # grad is the int 0
    t.a[i] = a
    t.b[i] = b
    t.value[i] = value
    t.grad[i] = 0.0
    t.handle[i] = NULL
    t.size = i + 1
    return i


cdef inline int32_t push_leaf(Tape t, double value, int kind) noexcept nogil:
    cdef int32_t i = t.size
    return push(t, 0, i, i, value, kind)


cdef inline Handle *handle(object v) noexcept:
    return <Handle *><PyObject *>v


cdef extern from *:
    Py_ssize_t count_of "Py_REFCNT"(PyObject *o) noexcept nogil


cdef inline Handle *living(Tape t, int32_t i) noexcept nogil:
    """The handle of node i, if it is one that a reference may be taken to; else NULL. It may be PARKED.

    A handle without references is being freed: its weak references' callbacks, or the finalizers of what it held, may
    ask for it.
    """
    cdef Handle *h = t.handle[i]
    if h != NULL and count_of(<PyObject *>h) > 0:
        return h
    return NULL


cdef inline void replace_handle(Tape t, int32_t i, Handle *handle) noexcept nogil:
    """Make `handle` the handle of node i, whose present one, if there is any, is being freed."""
    if t.handle[i] != NULL:
        t.handle[i].index = 0
    handle.index = i
    t.handle[i] = handle


cdef inline void hold(Tape t, int32_t i, Handle *handle) noexcept nogil:
    """Make `handle` the handle of node i, which has none."""
    handle.index = i
    t.handle[i] = handle


cdef inline void release(Tape t, int32_t i) noexcept:
    """Node i has lost its handle: it, and what nothing else needs any more, goes when it is the newest."""
    t.handle[i] = NULL
    if i == t.size - 1:
        t.pop()

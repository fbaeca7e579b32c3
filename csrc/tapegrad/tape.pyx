# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False, autotestdict=False
# cython: auto_pickle=False, binding=False, embedsignature=True, embedsignature.format=clinic
"""The tape and its backward sweep: see tape.pxd for what stands where.

Memory is reclaimed without any help from the program. When the newest node has no live handle it is popped, and so on
down: a node's operands lie below it, so a dead suffix is garbage. A live handle high up can pin garbage below it;
therefore, whenever the tape has doubled, the nodes that live handles reach are marked and squeezed together in order.
Both cost O(1) an operation, amortised.
"""
cimport cython
from cpython.exc cimport PyErr_CheckSignals
from cpython.mem cimport PyMem_RawFree, PyMem_RawMalloc, PyMem_RawRealloc
from cpython.ref cimport Py_DECREF

from tapegrad.ops cimport BOOL, CUSTOM, FLOAT, INT, LEAF, OP_COUNT, accumulate, pull, pull_careful, pull_zero, table

cdef enum:
    MAX_NODES = 2147483647          # indices are 32-bit
    MIN_COMPACT = 1024
    FIRST_CAPACITY = 1 << 15        # 1.1 MB of addresses; memory is taken as it is first written
    SWEEP_CHUNK = 1 << 20           # nodes between two looks at pending signals, about 5 ms

cdef enum:
    DONE = -1
    NO_MEMORY = -2


BUILT_IN = object()


@cython.freelist(256)
cdef class Extra:
    def __cinit__(self):
        self.backward = BUILT_IN


cdef extern from *:
    """
    /* a, but where it is what was guessed, the processor need not wait for it to be loaded: a branch is predicted. */
    static inline int32_t tg_guess(int32_t a, int32_t guessed)
    {
    #if defined(__GNUC__)
        if (__builtin_expect(a == guessed, 1)) {
            __asm__("" : "+r"(guessed));        /* or the compiler would see through it */
            return guessed;
        }
    #endif
        return a;
    }
    """
    int32_t guess "tg_guess"(int32_t a, int32_t guessed) noexcept nogil


cdef int enlarge(Indices *list) noexcept nogil:
    """Double the memory of a list; NO_MEMORY where there is none."""
    cdef size_t capacity = 2 * list.capacity if list.capacity else 1024
    cdef int32_t *at = <int32_t *>PyMem_RawRealloc(list.at, capacity * sizeof(int32_t))
    if at == NULL:
        return NO_MEMORY
    list.at = at
    list.capacity = capacity
    return 0


cdef int append(Indices *list, int32_t i) noexcept nogil:
    if list.size == list.capacity and enlarge(list) == NO_MEMORY:
        return NO_MEMORY
    list.at[list.size] = i
    list.size += 1
    return 0


cdef object exactly(double x, int kind):
    """A number of the tape as the kind of number that Values show it as."""
    return x if kind == FLOAT else x != 0.0 if kind == BOOL else int(x)


cdef class Tape:
    """The one tape of this process. Programs need it only to look inside.

    >>> from tapegrad import Value
    >>> from tapegrad.tape import tape
    >>> before = len(tape)
    >>> y = Value(2.0) * 3.0          # two leaves and a product
    >>> len(tape) - before
    3
    >>> del y
    >>> len(tape) - before
    0
    """

    def __cinit__(self):
        self.max_size = MAX_NODES
        self.compact_at = MIN_COMPACT
        self.grow(1)
        push_leaf(self, 0.0, INT)           # node 0: see tape.pxd
        self.set_limit()

    def __dealloc__(self):
        PyMem_RawFree(self.op)
        PyMem_RawFree(self.kind)
        PyMem_RawFree(self.flags)
        PyMem_RawFree(self.a)
        PyMem_RawFree(self.b)
        PyMem_RawFree(self.value)
        PyMem_RawFree(self.grad)
        PyMem_RawFree(self.handle)
        PyMem_RawFree(self.order.at)
        PyMem_RawFree(self.stack.at)

    def __len__(self):
        return self.size - 1

    @property
    def capacity(self):
        """How many nodes there is memory for; it grows by doubling and is kept."""
        return self.allocated - 1

    @property
    def max_nodes(self):
        """How many nodes there may be; one more is a MemoryError that leaves everything as it was."""
        return self.max_size - 1

    @max_nodes.setter
    def max_nodes(self, int count):
        if count < len(self):
            raise ValueError(f"max_nodes must be at least the {len(self)} nodes that there are, not {count}")
        self.max_size = min(count, MAX_NODES - 1) + 1
        self.set_limit()

    def compact(self):
        """Squeeze out every node that no live Value reaches, now, and return how many nodes are left.

        The tape does this by itself whenever it has doubled; a test may want exact numbers.
        """
        if not self.frozen:
            self.squeeze()
        return len(self)

    def rows(self, int first=1):
        """The arrays from node `first` on, a row for each node: a copy, for looking at.

        A row is (node, operation, a, b, value, grad, held). `a` and `b` are the numbers of the operands' nodes: a node
        without operands names itself, one with a single operand names that twice, and a constant of an operation is a
        node too. `held` says whether the program has a Value that stands for the node. Nodes get other numbers when
        the tape is squeezed. An IndexError if `first` is below 1; no rows if it is above the last node.

        >>> from tapegrad import Value
        >>> from tapegrad.tape import tape
        >>> before = tape.compact()
        >>> y = Value(2.0) * 3.0
        >>> [(operation, value, held) for _, operation, _, _, value, _, held in tape.rows(before + 1)]
        [('', 2.0, False), ('', 3.0, False), ('*', 6.0, True)]
        """
        cdef int32_t i
        cdef list rows = []
        if first < 1:
            raise IndexError(f"the first node has the number 1; there is none with {first}")
        self.frozen += 1                    # the cycle collector may run, and drop Values
        self.set_limit()
        try:
            for i in range(first, self.size):
                rows.append((
                    i, table[self.op[i]].label.decode(), self.a[i], self.b[i],
                    exactly(self.value[i], self.kind[i] & KIND), exactly(self.grad[i], self.flags[i] & GRAD_KIND),
                    self.handle[i] != NULL and not self.kind[i] & PARKED,
                ))
        finally:
            self.thaw()
        return rows

    # ---- room for nodes ----

    cdef int reserve(self, int32_t count) except -1:
        cdef int64_t needed = <int64_t>self.size + count
        if needed > self.compact_at and not self.frozen:
            self.squeeze()
            needed = <int64_t>self.size + count
        if needed > self.max_size:
            if not self.frozen:
                self.squeeze()
                needed = <int64_t>self.size + count
            if needed > self.max_size:
                raise MemoryError(f"the tape is full: {len(self)} nodes are alive")
        if needed > self.allocated:
            self.grow(needed)
        self.set_limit()
        return 0

    cdef void set_limit(self) noexcept:
        self.limit = min(self.allocated, self.max_size)
        if not self.frozen:
            self.limit = min(self.limit, max(self.compact_at, self.size))

    cdef int grow(self, int64_t needed) except -1:
        """Enlarge the arrays, each through a temporary pointer: where one fails, all stay valid as they are."""
        cdef int64_t capacity = min(max(2 * <int64_t>self.allocated, needed, FIRST_CAPACITY), MAX_NODES)
        self.op = <uint8_t *>resized(self.op, capacity, sizeof(uint8_t))
        self.kind = <uint8_t *>resized(self.kind, capacity, sizeof(uint8_t))
        self.flags = <uint8_t *>resized(self.flags, capacity, sizeof(uint8_t))
        self.a = <int32_t *>resized(self.a, capacity, sizeof(int32_t))
        self.b = <int32_t *>resized(self.b, capacity, sizeof(int32_t))
        self.value = <double *>resized(self.value, capacity, sizeof(double))
        self.grad = <double *>resized(self.grad, capacity, sizeof(double))
        self.handle = <Handle **>resized(self.handle, capacity, sizeof(Handle *))
        self.allocated = <int32_t>capacity
        return 0

    # ---- reclamation ----

    cdef void pop(self) noexcept:
        """Drop the dead suffix."""
        cdef int32_t n = self.size
        cdef Handle *parked
        if self.frozen:
            return
        while n > 1 and not self.frozen:
            parked = self.handle[n - 1]
            if parked != NULL and not self.kind[n - 1] & PARKED:
                break
            n -= 1
            if parked != NULL:
                self.size = n
                parked.index = 0
                Py_DECREF(<object><PyObject *>parked)      # a weak reference may call back into the program
                n = self.size
            self.size = n

    cdef void thaw(self) noexcept:
        """The end of a sweep: nodes may move again."""
        self.frozen -= 1
        if not self.frozen:
            self.pop()
            self.set_limit()

    cdef int32_t mark(self, int32_t *orphans) noexcept nogil:
        """Mark every node that a live handle reaches; how many. `orphans`: the parked handles of the others."""
        cdef int32_t i, live = 0
        cdef uint8_t *flags = self.flags
        orphans[0] = 0
        flags[0] |= REACHED
        for i in range(self.size - 1, -1, -1):
            if (flags[i] & REACHED) or (self.handle[i] != NULL and not self.kind[i] & PARKED):
                # a leaf and a custom node name themselves; a custom node's children have handles of their own
                flags[i] |= REACHED
                flags[self.a[i]] |= REACHED
                flags[self.b[i]] |= REACHED
                live += 1
            elif self.handle[i] != NULL:
                orphans[0] += 1
        return live

    cdef void squeeze(self) noexcept:
        """Move the marked nodes together, in order, and tell their handles. Without memory to do so all stay."""
        cdef int32_t i, live, orphans = 0
        cdef int32_t *moved = NULL
        cdef Handle **dead = NULL
        if self.break_cycles != NULL:
            self.break_cycles(self)
            if self.frozen:                 # that ran code of the program's, and another thread is in a sweep now
                self.set_limit()
                return
        live = self.mark(&orphans)
        if live < self.size:
            moved = <int32_t *>PyMem_RawMalloc(<size_t>self.size * sizeof(int32_t))
            dead = <Handle **>PyMem_RawMalloc(<size_t>orphans * sizeof(Handle *) + 1)
        if moved == NULL or dead == NULL:
            orphans = 0
            for i in range(self.size):
                self.flags[i] &= ~<int>REACHED
        else:
            self.move(moved, dead)
        self.compact_at = <int32_t>min(max(2 * <int64_t>live, MIN_COMPACT), MAX_NODES)
        self.set_limit()
        for i in range(orphans):                # last, because a weak reference may call back into the program
            Py_DECREF(<object><PyObject *>dead[i])
        PyMem_RawFree(moved)
        PyMem_RawFree(dead)

    cdef void move(self, int32_t *moved, Handle **dead) noexcept:
        cdef int32_t i, j = 0, orphans = 0
        for i in range(self.size):
            if self.flags[i] & REACHED:
                moved[i] = j
                self.op[j] = self.op[i]
                self.kind[j] = self.kind[i]
                self.flags[j] = self.flags[i] & ~<int>REACHED
                self.a[j] = moved[self.a[i]]
                self.b[j] = moved[self.b[i]]
                self.value[j] = self.value[i]
                self.grad[j] = self.grad[i]
                self.handle[j] = self.handle[i]
                if self.handle[j] != NULL:
                    self.handle[j].index = j
                j += 1
            elif self.handle[i] != NULL:
                self.handle[i].index = 0
                dead[orphans] = self.handle[i]
                orphans += 1
        self.size = j

    # ---- the backward sweep ----

    cdef int sweep(self, int32_t root) except -1:
        """Set the grad of node `root` to 1 and add to every other node's grad the derivative of `root` by it.

        The nodes are taken in reversed depth-first post-order over the operands in their order, so that
        every sum is formed in the order in which a recursive implementation forms it, to the last bit.
        """
        cdef Indices order = self.order, stack = self.stack     # ours until the end: a sweep may run inside a sweep
        cdef size_t left
        cdef list alive
        cdef bint marked
        self.order.at = self.stack.at = NULL
        self.order.size = self.order.capacity = self.stack.size = self.stack.capacity = 0
        order.size = stack.size = 0
        self.frozen += 1
        self.set_limit()
        try:
            alive = self.sort(root, &order, &stack)
            marked = not alive
            self.grad[root] = 1.0
            self.flags[root] = INT | (self.flags[root] & VISITED)
            left = order.size
            while left:
                left = pull_run(self, order.at, left, left - SWEEP_CHUNK if left > SWEEP_CHUNK else 0)
                order.size = left
                if left and self.op[order.at[left - 1]] == CUSTOM:
                    left -= 1
                    self.pull_custom(order.at[left], True)
                elif left:
                    if marked:
                        self.forget(order.at, left)     # a signal's handler may sweep
                        marked = False
                    PyErr_CheckSignals()
            PyErr_CheckSignals()
        finally:
            self.forget(order.at, order.size)
            PyMem_RawFree(self.order.at)
            PyMem_RawFree(self.stack.at)
            self.order = order
            self.stack = stack
            self.thaw()
        return 0

    cdef void forget(self, const int32_t *nodes, size_t count) noexcept nogil:
        """Take back the marks of the sort."""
        cdef size_t k
        for k in range(count):
            self.flags[nodes[k]] &= ~<int>VISITED

    cdef list sort(self, int32_t root, Indices *order, Indices *stack):
        """Append the nodes that `root` reaches, leaves left out, in depth-first post-order.

        The custom nodes among them are answered, to be kept alive: their functions may drop any of them. Where there
        are none the nodes stay marked, and the sweep takes the marks back as it goes.
        """
        cdef int32_t node
        cdef size_t k
        cdef list alive = []
        try:
            if append(stack, root) == NO_MEMORY:
                raise MemoryError("no memory to sort the graph")
            while True:
                node = sort_run(self, order, stack)
                if node == DONE:
                    break
                if node == NO_MEMORY:
                    raise MemoryError("no memory to sort the graph")
                if self.handle[node] != NULL:
                    alive.append(<object><PyObject *>self.handle[node])
                    if self.handle[node].state != NULL and isinstance(<object>self.handle[node].state, Extra):
                        self.push_children(<Extra>self.handle[node].state, stack)
        except BaseException:
            for k in range(stack.size):
                if stack.at[k] < 0:
                    self.flags[~stack.at[k]] &= ~<int>VISITED
            raise
        if alive:
            self.forget(order.at, order.size)
        return alive

    cdef int push_children(self, Extra extra, Indices *stack) except -1:
        """Push the children of a custom node, the first one last."""
        cdef Py_ssize_t k
        if extra.children is not None:
            for k in range(len(extra.children) - 1, -1, -1):
                if append(stack, (<Handle *><PyObject *>extra.children[k]).index) == NO_MEMORY:
                    raise MemoryError("no memory to sort the graph")
        return 0

    cdef int pull_custom(self, int32_t node, bint by_function) except -1:
        """The step of the sweep through a custom node: by the program's function, or as if that were not there."""
        cdef Extra extra
        cdef Handle *child
        cdef Py_ssize_t k
        cdef double d
        cdef double g = self.grad[node]
        cdef int g_is_int = self.flags[node] & INT
        if self.kind[node] & LEAKED:
            raise RuntimeError("a Value that a recorded function has stored outside cannot be differentiated: return it "
                               "from the function instead")
        if self.handle[node] == NULL or self.handle[node].state == NULL:
            return 0
        state = <object>self.handle[node].state
        if not isinstance(state, Extra):
            return 0
        extra = <Extra>state
        if by_function and extra.backward is not BUILT_IN:
            extra.backward()
        elif extra.partials is not None:
            for k in range(min(len(extra.partials), len(extra.children))):
                child = <Handle *><PyObject *>extra.children[k]
                d = extra.partials[k]
                accumulate(self.grad, self.flags, child.index, d, g, g_is_int and not isinstance(extra.partials[k], float))
        elif extra.code:
            pull_node(self, extra.code, node)
        return 0

    cdef int pull_at(self, int32_t node) except -1:
        """What the sweep does at this node where the program has replaced nothing."""
        if self.op[node] == CUSTOM:
            return self.pull_custom(node, False)
        pull_node(self, self.op[node], node)
        return 0


cdef int32_t sort_run(Tape t, Indices *order, Indices *stack) noexcept nogil:
    """Sort until DONE, NO_MEMORY, or a custom node (the answer) whose children the caller must push.

    On the stack stand nodes still to visit and, as ~node, nodes to append when all below them is done.
    """
    cdef uint8_t *flags = t.flags
    cdef const uint8_t *op = t.op
    cdef const int32_t *operand_a = t.a
    cdef const int32_t *operand_b = t.b
    cdef int32_t v, a, b
    cdef int32_t *top = stack.at + stack.size       # in registers: this loop is a third of what a sweep costs
    cdef int32_t *top_end = stack.at + stack.capacity
    cdef int32_t *end = order.at + order.size
    cdef int32_t *order_end = order.at + order.capacity
    cdef int32_t answer = DONE
    while top != stack.at:
        top -= 1
        v = top[0]
        if v < 0:
            if end == order_end:
                order.size = order.capacity
                if enlarge(order) == NO_MEMORY:
                    top += 1
                    answer = NO_MEMORY
                    break
                end = order.at + order.size
                order_end = order.at + order.capacity
            end[0] = ~v
            end += 1
            continue
        while not flags[v] & VISITED:
            if top_end - top < 2:
                stack.size = top - stack.at
                if enlarge(stack) == NO_MEMORY:
                    answer = NO_MEMORY
                    break
                top = stack.at + stack.size
                top_end = stack.at + stack.capacity
            top[0] = ~v
            top += 1
            flags[v] |= VISITED
            if op[v] == CUSTOM:
                answer = v
                break
            a = operand_a[v]
            b = operand_b[v]
            if b != a and op[b] != LEAF and not flags[b] & VISITED:
                top[0] = b
                top += 1
            if op[a] == LEAF:
                break
            v = guess(a, v - 1)
        if answer != DONE:
            break
    stack.size = top - stack.at
    order.size = end - order.at
    return answer


cdef void pull_node(Tape t, int op, int32_t v) noexcept nogil:
    """Add to the operands' grads the local derivatives times the grad of node v."""
    if op > CUSTOM:
        if t.flags[v] & INT or t.grad[v] == 0.0:
            pull_careful(op, t.value, t.kind, t.grad, t.flags, t.a[v], t.b[v], t.value[v], t.grad[v], t.flags[v] & INT)
        else:
            pull(op, t.value, t.grad, t.flags, t.a[v], t.b[v], t.value[v], t.grad[v])


cdef size_t pull_run(Tape t, const int32_t *order, size_t start, size_t stop) noexcept nogil:
    """Pull the nodes order[start - 1] down to order[stop]; where it stopped, which may be above a custom node."""
    cdef const uint8_t *op = t.op
    cdef const uint8_t *kind = t.kind
    cdef const int32_t *a = t.a
    cdef const int32_t *b = t.b
    cdef const double *value = t.value
    cdef double *grad = t.grad
    cdef uint8_t *flags = t.flags
    cdef size_t k = start
    cdef int32_t v
    cdef double g
    while k > stop:
        v = order[k - 1]
        if op[v] <= CUSTOM:
            if op[v] == CUSTOM:
                break
            k -= 1
            flags[v] &= ~<int>VISITED       # a leaf, which can only be the root
            continue
        k -= 1
        flags[v] &= ~<int>VISITED
        g = grad[v]
        if flags[v] & INT:
            pull_careful(op[v], value, kind, grad, flags, a[v], b[v], value[v], g, 1)
        elif g == 0.0:
            pull_zero(op[v], grad, flags, a[v], b[v])
        else:
            pull(op[v], value, grad, flags, a[v], b[v], value[v], g)
    return k


cdef void *resized(void *old, int64_t count, size_t width) except NULL:
    cdef void *new = NULL
    if <size_t>count <= (<size_t>-1) // width:
        new = PyMem_RawRealloc(old, <size_t>count * width)
    if new == NULL:
        raise MemoryError(f"no memory for a tape of {count} nodes")
    return new


tape = Tape()
OPERATIONS = tuple(table[k].label.decode() for k in range(CUSTOM + 1, OP_COUNT))

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
from cpython.object cimport PyTypeObject
from cpython.ref cimport Py_DECREF, Py_INCREF
from libc.string cimport memset

from tapegrad.ops cimport (BOOL, CUSTOM, FLOAT, INT, LEAF, OP_COUNT, SELECT, accumulate, pull, pull_careful, pull_zero,
                           table)

import os

cdef enum:
    MAX_NODES = 2147483647          # indices are 32-bit
    MIN_COMPACT = 1024
    FIRST_CAPACITY = 1 << 15        # 1.1 MB of addresses; memory is taken as it is first written
    SWEEP_CHUNK = 1 << 20           # nodes between two looks at pending signals, about 5 ms

cdef enum:
    DONE = -1
    NO_MEMORY = -2


cdef extern from "pythread.h":
    unsigned long PyThread_get_thread_ident() noexcept

cdef extern from *:
    PyTypeObject *type_at "Py_TYPE"(PyObject *o) noexcept


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


cdef int more_alive(Sweep *s) noexcept nogil:
    cdef size_t capacity = 2 * s.alive_capacity if s.alive_capacity else 64
    cdef PyObject **alive = <PyObject **>PyMem_RawRealloc(s.alive, capacity * sizeof(PyObject *))
    if alive == NULL:
        return NO_MEMORY
    s.alive = alive
    s.alive_capacity = capacity
    return 0


cdef void free_sweep(Sweep *s) noexcept nogil:
    if s != NULL:
        PyMem_RawFree(s.order.at)
        PyMem_RawFree(s.stack.at)
        PyMem_RawFree(s.alive)
        PyMem_RawFree(s)


cdef int append(Indices *list, int32_t i) noexcept nogil:
    if list.size == list.capacity and enlarge(list) == NO_MEMORY:
        return NO_MEMORY
    list.at[list.size] = i
    list.size += 1
    return 0


cdef object exactly(double x, int kind):
    """A number of the tape as the kind of number that Values show it as."""
    return x if kind == FLOAT else x != 0.0 if kind == BOOL else int(x)

# ---- who needs nodes to stay ----

cdef Still latest_still = None              # of those under way
cdef Recording latest = None                # of those under way


cdef class Still:
    """From `__enter__` to `__exit__` no node moves or goes."""

    cdef int begin(self) except -1:
        global latest_still
        if self.entered:
            raise RuntimeError("nodes are held still by this already")
        self.thread = PyThread_get_thread_ident()
        self.before = latest_still
        self.entered = True
        latest_still = self
        the_tape.set_lowest()
        return 0

    cdef void end(self) noexcept:
        global latest_still
        cdef Still s = latest_still
        if not self.entered:
            return
        if s is self:
            latest_still = self.before
        else:
            while s.before is not self:
                s = s.before
            s.before = self.before
        self.before = None
        self.entered = False
        the_tape.set_lowest()
        the_tape.pop()

    def __enter__(self):
        self.begin()
        return self

    def __exit__(self, kind, error, traceback):
        self.end()


cdef class Recording:
    def __enter__(self):
        global latest
        if self.entered:
            raise RuntimeError("this recording is under way")
        if not the_tape.recordings:
            the_tape.first_recorded = the_tape.looked_at = the_tape.size
            the_tape.stretch_count = 0
        self.start = the_tape.size
        self.thread = PyThread_get_thread_ident()
        self.before = latest
        self.entered = True
        latest = self
        the_tape.recordings += 1
        the_tape.recorders_changed = True
        the_tape.set_lowest()
        return self

    def __exit__(self, kind, error, traceback):
        if not self.entered:
            raise RuntimeError("this recording is not under way")
        the_tape.end_recording(self)


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
        self.lowest = 1
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
        PyMem_RawFree(self.stretches)
        free_sweep(self.spare)

    def __len__(self):
        if self.settle != NULL:
            self.settle(self)
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
        cdef Still still = Still()
        if first < 1:
            raise IndexError(f"the first node has the number 1; there is none with {first}")
        still.begin()                       # the cycle collector may run, and drop Values
        try:
            for i in range(first, self.size):
                rows.append((
                    i, table[self.op[i]].label.decode(), self.a[i], self.b[i],
                    exactly(self.value[i], self.kind[i] & KIND), exactly(self.grad[i], self.flags[i] & GRAD_KIND),
                    self.handle[i] != NULL and not self.kind[i] & PARKED,
                ))
        finally:
            still.end()
        return rows

    # ---- room for nodes ----

    cdef int reserve(self, int32_t count) except -1:
        cdef int64_t needed = <int64_t>self.size + count
        cdef int recorded = 0
        if self.recordings and needed <= self.enough:
            return self.note_owner()        # nothing else was to be asked for
        if needed > self.compact_at or needed > self.max_size:
            self.squeeze()
            needed = <int64_t>self.size + count
            if needed > self.max_size:
                raise MemoryError(f"the tape is full: {len(self)} nodes are alive")
        if needed > self.allocated:
            self.grow(needed)
        if self.recordings:
            recorded = self.note_owner()
        self.set_limit()
        return recorded

    cdef void set_limit(self) noexcept:
        self.limit = min(self.allocated, self.max_size)
        if latest_still is None:
            self.limit = min(self.limit, max(self.compact_at, self.size))
        self.enough = self.limit
        if self.recordings:
            self.limit = 0                  # every push is to be asked for: see note_owner

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
        while n > self.lowest:
            parked = self.handle[n - 1]
            if parked != NULL and not self.kind[n - 1] & PARKED:
                break
            n -= 1
            if parked != NULL:
                self.handle[n] = NULL
                self.size = n
                parked.index = 0
                Py_DECREF(<object><PyObject *>parked)      # what it held may have finalizers
                n = self.size
            self.size = n

    cdef void set_lowest(self) noexcept:
        """Work out anew which nodes may be popped."""
        cdef Sweep *s = self.sweeps
        cdef Recording r = latest if self is the_tape else None
        self.lowest = 1
        if latest_still is not None:
            self.lowest = MAX_NODES
        while s != NULL:
            self.lowest = max(self.lowest, s.top + 1)
            s = s.before
        while r is not None:
            self.lowest = max(self.lowest, r.start)
            r = r.before
        self.set_limit()

    cdef int32_t mark(self, int32_t *orphans) noexcept nogil:
        """Mark every node that a live handle reaches; how many. `orphans`: the parked handles of the others."""
        cdef int32_t i, live = 0
        cdef uint8_t *flags = self.flags
        cdef bint recording = self.recordings != 0
        cdef Sweep *s = self.sweeps
        cdef size_t k
        orphans[0] = 0
        flags[0] |= REACHED
        while s != NULL:
            for k in range(s.order.size):
                flags[s.order.at[k]] |= REACHED
            s = s.before
        for i in range(self.size - 1, -1, -1):
            if (flags[i] & REACHED) or (self.handle[i] != NULL and not self.kind[i] & PARKED):
                # a leaf and a custom node name themselves; a custom node's children have handles of their own
                flags[i] |= REACHED
                flags[self.a[i]] |= REACHED
                flags[self.b[i]] |= REACHED
                if recording and self.op[i] == SELECT:
                    flags[i - 1] |= REACHED     # see _select in value.pyx
                live += 1
            elif self.handle[i] != NULL:
                orphans[0] += 1
        return live

    cdef void squeeze(self) noexcept:
        """Move the marked nodes together, in order, and tell all that refer to them: handles, sweeps and recordings.

        Without memory to do so all stay; so they do while something holds them still.
        """
        cdef int32_t i, live, orphans = 0
        cdef int32_t *moved = NULL
        cdef Handle **dead = NULL
        if latest_still is None and self.settle != NULL:
            self.settle(self)
        if latest_still is None and self.break_cycles != NULL:
            self.break_cycles(self)
        if latest_still is not None:        # from the beginning, or one of those two ran code of the program's
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
            moved[i] = j                    # of a node that goes: where the next one that stays comes to be
            if self.flags[i] & REACHED:
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
        self.move_holders(moved, j)
        self.size = j
        self.set_lowest()

    cdef void move_holders(self, const int32_t *moved, int32_t size) noexcept:
        """Tell sweeps and recordings under way where their nodes are now, of which there are `size`."""
        cdef Sweep *s = self.sweeps
        cdef Recording r = latest if self is the_tape else None
        cdef size_t k, left = 0
        while s != NULL:
            for k in range(s.order.size):
                s.order.at[k] = moved[s.order.at[k]]
            s.top = moved[s.top] if s.top < self.size else size
            s = s.before
        while r is not None:
            r.start = moved[r.start] if r.start < self.size else size
            r = r.before
        self.first_recorded = moved[self.first_recorded] if self.first_recorded < self.size else size
        self.looked_at = moved[self.looked_at] if self.looked_at < self.size else size
        for k in range(self.stretch_count):
            self.stretches[k].first = moved[self.stretches[k].first] if self.stretches[k].first < self.size else size
            if left and (self.stretches[left - 1].first == self.stretches[k].first):
                left -= 1                   # nothing of it is left
            if not (left and self.stretches[left - 1].thread == self.stretches[k].thread
                    and self.stretches[left - 1].recorded == self.stretches[k].recorded):
                self.stretches[left] = self.stretches[k]
                left += 1
        self.stretch_count = left

    # ---- recordings under way: who pushes what ----

    cdef Recording recorder(self):
        """The recording of this thread, or None."""
        cdef Recording r = latest
        cdef unsigned long thread
        if r is not None:
            thread = PyThread_get_thread_ident()
            while r is not None and r.thread != thread:
                r = r.before
        return r

    cdef int note_owner(self) except -1:
        """Note, before a push, which thread it is that pushes, and whether it records; 1 if it does."""
        cdef unsigned long thread = PyThread_get_thread_ident()
        cdef bint recorded
        cdef Stretch *last
        if self.stretch_count and not self.recorders_changed:
            last = &self.stretches[self.stretch_count - 1]
            if last.thread == thread and last.first < self.size and self.looked_at <= self.size:
                return last.recorded
        recorded = self.recorder() is not None
        while self.stretch_count and self.stretches[self.stretch_count - 1].first >= self.size:
            self.stretch_count -= 1         # all that was in it has been popped
        self.looked_at = min(self.looked_at, self.size)
        if self.stretch_count:
            last = &self.stretches[self.stretch_count - 1]
            if last.thread == thread and last.recorded == recorded:
                self.recorders_changed = False
                return recorded
        if self.stretch_count == self.stretch_capacity:
            self.stretches = <Stretch *>resized(self.stretches, 2 * self.stretch_capacity + 8, sizeof(Stretch))
            self.stretch_capacity = 2 * self.stretch_capacity + 8
        self.stretches[self.stretch_count] = Stretch(self.size, thread, recorded)
        self.stretch_count += 1
        self.recorders_changed = False
        return recorded

    cdef Stretch *owner(self, int32_t node) noexcept nogil:
        """The stretch that a node is in; NULL for a node from before all recordings."""
        cdef size_t low = 0, high = self.stretch_count, middle
        while low < high:
            middle = (low + high) // 2
            if self.stretches[middle].first <= node:
                low = middle + 1
            else:
                high = middle
        return &self.stretches[low - 1] if low else NULL

    cdef bint is_recorded(self, int32_t node) noexcept:
        """Whether a node was made by a recording under way, or from such nodes. In O(1), amortised over all nodes."""
        cdef int32_t i = max(self.looked_at, 1)
        cdef size_t k = self.owner(i) - self.stretches if self.owner(i) != NULL else 0
        if self.recordings and self.stretch_count:
            for i in range(i, self.size):
                while k + 1 < self.stretch_count and self.stretches[k + 1].first <= i:
                    k += 1
                if self.stretches[k].recorded and self.stretches[k].first <= i:
                    self.kind[i] |= RECORDED
                elif (self.kind[self.a[i]] | self.kind[self.b[i]]) & RECORDED:
                    self.kind[i] |= RECORDED
            self.looked_at = self.size
        return self.recordings and self.kind[node] & RECORDED != 0

    cdef bint is_of_another_recording(self, int32_t node) noexcept:
        """Whether a node was made by a recording under way in another thread."""
        cdef Stretch *s = self.owner(node)
        return s != NULL and s.recorded and s.thread != PyThread_get_thread_ident()

    cdef void end_recording(self, Recording r) noexcept:
        global latest
        cdef Recording later = latest
        cdef Stretch *s
        cdef int32_t i
        cdef size_t k
        if later is r:
            latest = r.before
        else:
            while later.before is not r:
                later = later.before
            later.before = r.before
        r.before = None
        r.entered = False
        self.recordings -= 1
        self.recorders_changed = True
        for i in range(r.start if self.recordings else self.first_recorded, self.size):
            if self.op[i] >= OP_COUNT:      # the eager sweep has no rule for it; the program may have kept it
                s = self.owner(i)
                if s == NULL or s.thread == r.thread or not self.recordings:
                    self.op[i] = CUSTOM
                    self.a[i] = self.b[i] = i
                    self.kind[i] |= LEAKED
        for i in range(max(r.start if self.recordings else self.first_recorded, 1), self.size):
            self.kind[i] &= ~<int>RECORDED  # what others have made is found again
            if self.outlive != NULL and living(self, i) != NULL:
                s = self.owner(i)
                if s == NULL or s.thread == r.thread or not self.recordings:
                    self.outlive(self.handle[i])
        self.looked_at = min(self.looked_at, r.start)
        later = latest
        while later is not None and later.thread != r.thread:
            later = later.before
        if later is None:                   # else this thread goes on recording
            for k in range(self.stretch_count):
                if self.stretches[k].thread == r.thread:
                    self.stretches[k].recorded = False
        if not self.recordings:
            PyMem_RawFree(self.stretches)
            self.stretches = NULL
            self.stretch_count = self.stretch_capacity = 0
        self.set_lowest()
        self.pop()

    def _forked(self):
        """Forget, in a child that os.fork has made, the sweeps and recordings of threads that it has not."""
        global latest_still
        cdef unsigned long thread = PyThread_get_thread_ident()
        cdef Sweep *s = self.sweeps
        cdef Sweep *before
        cdef Recording r = latest, next_one
        cdef Still still = latest_still, next_still
        while s != NULL:
            before = s.before
            if s.thread != thread:
                self.end_sweep(s)
            s = before
        while r is not None:
            next_one = r.before
            if r.thread != thread:
                self.end_recording(r)
            r = next_one
        while still is not None:
            next_still = still.before
            if still.thread != thread:
                still.end()
            still = next_still

    # ---- the backward sweep ----

    cdef int sweep(self, int32_t root) except -1:
        """Set the grad of node `root` to 1, and add to every other node's grad the derivative of `root` with respect to it.

        The nodes are taken in reversed depth-first post-order over the operands in their order, so that
        every sum is formed in the order in which a recursive implementation forms it, to the last bit.

        Whatever runs the program's code may move nodes: `order` is then looked at afresh.
        """
        cdef Sweep *s = self.spare          # ours until the end: a sweep may run inside a sweep
        cdef size_t left
        cdef bint marked
        if s == NULL:
            s = <Sweep *>resized(NULL, 1, sizeof(Sweep))
            memset(s, 0, sizeof(Sweep))
        self.spare = NULL
        s.order.size = s.stack.size = s.alive_size = 0
        s.top = root
        left = self.sort(root, s) == 0      # runs nothing of the program's
        s.thread = PyThread_get_thread_ident()
        s.before = self.sweeps
        self.sweeps = s
        self.lowest = max(self.lowest, s.top + 1)
        try:
            if not left:
                raise MemoryError("no memory to sort the graph")
            marked = not s.alive_size
            self.grad[root] = 1.0
            self.flags[root] = INT | (self.flags[root] & VISITED)
            left = s.order.size
            while left:
                left = pull_run(self, s.order.at, left, left - SWEEP_CHUNK if left > SWEEP_CHUNK else 0)
                s.order.size = left
                if left and self.op[s.order.at[left - 1]] == CUSTOM:
                    left -= 1
                    self.pull_custom(s.order.at[left], True)
                    s.order.size = left
                elif left:
                    if marked:
                        self.forget(s.order.at, left)       # a signal's handler may sweep
                        marked = False
                    PyErr_CheckSignals()
            PyErr_CheckSignals()
        finally:
            self.end_sweep(s)
        return 0

    cdef void end_sweep(self, Sweep *s) noexcept:
        """Strike the sweep off the list of those under way."""
        cdef Sweep *later = self.sweeps
        cdef size_t k
        self.forget(s.order.at, s.order.size)
        if later == s:
            self.sweeps = s.before
        else:
            while later.before != s:
                later = later.before
            later.before = s.before
        for k in range(s.alive_size):
            Py_DECREF(<object>s.alive[k])
        free_sweep(self.spare)
        self.spare = s
        self.set_lowest()
        self.pop()

    cdef void forget(self, const int32_t *nodes, size_t count) noexcept nogil:
        """Take back the marks of the sort."""
        cdef size_t k
        for k in range(count):
            self.flags[nodes[k]] &= ~<int>VISITED

    cdef void forget_stack(self, const Indices *stack) noexcept nogil:
        """Take back the marks of nodes whose sort is under way."""
        cdef size_t k
        for k in range(stack.size):
            if stack.at[k] < 0:
                self.flags[~stack.at[k]] &= ~<int>VISITED

    cdef int sort(self, int32_t root, Sweep *s) noexcept:
        """Append the nodes that `root` reaches to `order`, in depth-first post-order; 0 or NO_MEMORY.

        Leaves, which have nothing to pass on, are left out, but where there are functions of the program's, which may
        give one to a leaf. Takes references to the handles of the custom nodes among them: their functions may drop any of them. Where
        there are none the nodes stay marked, and the sweep takes the marks back as it goes. Allocates nothing that the
        collector knows, so that nothing of the program's runs.
        """
        cdef int32_t node = append(&s.stack, root)
        cdef int left_out = LEAF
        cdef Handle *h
        while node != NO_MEMORY:
            node = sort_run(self, &s.order, &s.stack, left_out)
            if node == DONE:
                break
            if node == NO_MEMORY:
                break
            h = living(self, node)
            if h == NULL:
                continue
            if s.alive_size == s.alive_capacity and more_alive(s) == NO_MEMORY:
                node = NO_MEMORY
                break
            Py_INCREF(<object><PyObject *>h)
            s.alive[s.alive_size] = <PyObject *>h
            s.alive_size += 1
            if h.state == NULL or type_at(h.state) != <PyTypeObject *>Extra:
                continue
            if left_out == LEAF and (<Extra>h.state).backward is not BUILT_IN:
                left_out = -1               # from the beginning
                self.forget_stack(&s.stack)
                self.forget(s.order.at, s.order.size)
                s.order.size = s.stack.size = 0
                node = append(&s.stack, root)
            else:
                node = self.push_children(<Extra>h.state, s)
        if node == NO_MEMORY:
            self.forget_stack(&s.stack)
            return NO_MEMORY
        if s.alive_size:
            self.forget(s.order.at, s.order.size)
        return 0

    cdef int push_children(self, Extra extra, Sweep *s) noexcept:
        """Push the children of a custom node, the first one last; 0 or NO_MEMORY."""
        cdef Py_ssize_t k
        cdef int32_t child
        if extra.children is not None:
            for k in range(len(extra.children) - 1, -1, -1):
                child = (<Handle *><PyObject *>extra.children[k]).index
                s.top = max(s.top, child)
                if append(&s.stack, child) == NO_MEMORY:
                    return NO_MEMORY
        return 0

    cdef int pull_custom(self, int32_t node, bint by_function) except -1:
        """The step of the sweep through a custom node: by the program's function, or as if that were not there."""
        cdef Extra extra
        cdef Handle *h = living(self, node)
        cdef Handle *child
        cdef Py_ssize_t k
        cdef double d
        cdef double g = self.grad[node]
        cdef int g_is_int = self.flags[node] & INT
        if self.kind[node] & LEAKED:
            raise RuntimeError("a Value that a recorded function has stored outside cannot be differentiated: return it "
                               "from the function instead")
        if h == NULL or h.state == NULL or type_at(h.state) != <PyTypeObject *>Extra:
            return 0
        extra = <Extra>h.state
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


cdef int32_t sort_run(Tape t, Indices *order, Indices *stack, int left_out) noexcept nogil:
    """Sort until DONE, NO_MEMORY, or a custom node (the answer) whose children the caller must push.

    Nodes of the operation `left_out` are not followed: LEAF, or -1 for none.

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
            if b != a and op[b] != left_out and not flags[b] & VISITED:
                top[0] = b
                top += 1
            if op[a] == left_out:
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
            flags[v] &= ~<int>VISITED       # a leaf
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
    """Memory for `count` items of `width` bytes, with what `old` has; where there is none `old` stays as it is."""
    cdef void *new = NULL
    if <size_t>count <= (<size_t>-1) // width:
        new = PyMem_RawRealloc(old, <size_t>count * width)
    if new == NULL:
        raise MemoryError(f"no memory for {count} times {width} bytes")
    return new


cdef Tape the_tape = Tape()
tape = the_tape
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=the_tape._forked)
OPERATIONS = tuple(table[k].label.decode() for k in range(CUSTOM + 1, OP_COUNT))

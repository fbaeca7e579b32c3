# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False, autotestdict=False
# cython: c_api_binop_methods=True, auto_pickle=False
# cython: binding=False, embedsignature=True, embedsignature.format=clinic
"""The extension type `Value`: operators and properties. Calculus is in ops.h, memory of nodes in tape.pyx."""
from cpython.bool cimport PyBool_Check
from cpython.float cimport PyFloat_AS_DOUBLE, PyFloat_Check, PyFloat_CheckExact, PyFloat_FromDouble
from cpython.long cimport PyLong_AsDouble, PyLong_Check, PyLong_CheckExact, PyLong_FromLongLong
from cpython.number cimport PyNumber_Add, PyNumber_Multiply
from cpython.object cimport (Py_EQ, Py_NE, PyObject, PyObject_GenericSetAttr,
                             PyObject_RichCompare, PyTypeObject, destructor, inquiry, newfunc, traverseproc,
                             visitproc)
from cpython.ref cimport Py_INCREF, Py_XDECREF
from libc.stdint cimport int32_t, uint8_t, uintptr_t
from libc.math cimport fabs, isfinite, isinf, isnan
from cpython.mem cimport PyMem_RawFree, PyMem_RawMalloc
from libc.string cimport memcpy, memset

from tapegrad.ops cimport (ADD, BINARY, BOOL, COPY, CUSTOM, DIV, EXACT, FLOAT, FLOORDIV, INT, LEAF, MOD, MUL, NONE, PARAM,
                           POW, POWER, POWN, RANGE, SELECT, SUB, TOINT, TRUNC, UNARY, code, partial_is_int, partials,
                           table, unknown, value_and_kind, value_of, value_of_floats, value_of_product, value_of_sum)
from tapegrad.tape cimport (GRAD_KIND, KIND, PARKED, Extra, Handle, Still, Tape, handle, hold, living, push, push_leaf,
                            release, replace_handle, resized, room)

from tapegrad import tape as _tape_module

cdef object BUILT_IN = _tape_module.BUILT_IN

cdef Tape tape = _tape_module.tape


# ---- the memory of Values: a free list, and cyclic collection only of those that hold Python references ----

cdef extern from *:
    """
    #ifdef TAPEGRAD_NO_FREELIST
    #define TG_FREE_MAX 0
    #else
    #define TG_FREE_MAX 1024
    #endif
    static PyObject *tg_free[TG_FREE_MAX + 1];
    #define tg_set_refcnt(o, n) Py_SET_REFCNT((PyObject *)(o), n)
    #define tg_type(o) ((PyTypeObject *)(o))
    #define tg_alloc(type) ((type)->tp_alloc(type, 0))
    #define tg_number_methods(type) ((type)->tp_as_number)
    #ifdef _MSC_VER
    static __declspec(thread) int tg_depth;
    #else
    static __thread int tg_depth;
    #endif
    #ifdef Py_GIL_DISABLED
    #define tg_is_tracked(o) PyObject_GC_IsTracked((PyObject *)(o))
    #else       /* that, without a call */
    #define tg_is_tracked(o) (((const uintptr_t *)(o))[-2] != 0)
    #endif
    /* The exception that is under way, if one is. */
    #if PY_VERSION_HEX >= 0x030C0000
    typedef PyObject *tg_error;
    static inline tg_error tg_put_error_aside(void) { return PyErr_GetRaisedException(); }
    static inline void tg_restore_error(tg_error error) { PyErr_SetRaisedException(error); }
    #else
    typedef struct { PyObject *type, *value, *traceback; } tg_error;
    static inline tg_error tg_put_error_aside(void)
    {
        tg_error e;
        PyErr_Fetch(&e.type, &e.value, &e.traceback);
        return e;
    }
    static inline void tg_restore_error(tg_error e) { PyErr_Restore(e.type, e.value, e.traceback); }
    #endif
    static inline void tg_set_type(PyObject *o, PyTypeObject *type)
    {
        PyTypeObject *old = Py_TYPE(o);
        Py_INCREF(type);
        Py_SET_TYPE(o, type);
        Py_DECREF(old);
    }
    static inline void tg_set_offsets(PyTypeObject *type)
    {
        type->tp_dictoffset = offsetof(TgHandle, attrs);        /* an ordinary __dict__, but made when first needed */
        type->tp_weaklistoffset = offsetof(TgHandle, weakrefs);
    }
    """
    enum:
        FREE_MAX "TG_FREE_MAX"
    PyObject *free_list "tg_free"[1]
    int depth "tg_depth"                    # of the calls of let_go_of under way in this thread
    void set_refcnt "tg_set_refcnt"(void *o, Py_ssize_t n) noexcept
    PyTypeObject *type_of "tg_type"(object o) noexcept
    PyTypeObject *type_at "Py_TYPE"(PyObject *o) noexcept
    PyTypeObject *type_of_object "Py_TYPE"(object o) noexcept
    void set_offsets "tg_set_offsets"(PyTypeObject *type) noexcept
    void set_type "tg_set_type"(PyObject *o, PyTypeObject *type) noexcept
    object alloc "tg_alloc"(PyTypeObject *type)
    ctypedef void *binaryfunc
    ctypedef void *unaryfunc
    ctypedef void *ternaryfunc
    ctypedef struct PyNumberMethods:
        binaryfunc nb_add
        binaryfunc nb_multiply
        unaryfunc nb_negative
        ternaryfunc nb_power
    PyNumberMethods *number_methods "tg_number_methods"(PyTypeObject *type) noexcept
    Py_ssize_t Py_REFCNT(PyObject *o) noexcept
    PyObject *gc_new "_PyObject_GC_New"(PyTypeObject *type) except NULL
    void gc_del "PyObject_GC_Del"(void *o) noexcept
    void gc_track "PyObject_GC_Track"(void *o) noexcept
    void gc_untrack "PyObject_GC_UnTrack"(void *o) noexcept
    bint gc_is_tracked "tg_is_tracked"(PyObject *o) noexcept
    bint is_gc "PyObject_IS_GC"(object o) noexcept
    void clear_weakrefs "PyObject_ClearWeakRefs"(PyObject *o) noexcept
    void decref "Py_DECREF"(PyTypeObject *o) noexcept
    void decref_object "Py_DECREF"(PyObject *o) noexcept
    bint is_function "PyFunction_Check"(PyObject *o) noexcept
    PyObject *closure_of "PyFunction_GET_CLOSURE"(PyObject *o) noexcept
    Py_ssize_t tuple_size "PyTuple_GET_SIZE"(PyObject *o) noexcept
    PyObject *tuple_item "PyTuple_GET_ITEM"(PyObject *o, Py_ssize_t k) noexcept
    PyObject *cell_content "PyCell_GET"(PyObject *o) noexcept
    Py_ssize_t dict_size "PyDict_GET_SIZE"(PyObject *o) noexcept
    ctypedef struct Error "tg_error":
        pass
    Error put_error_aside "tg_put_error_aside"() noexcept
    void restore_error "tg_restore_error"(Error error) noexcept
    PyObject *look_up "_PyType_Lookup"(PyTypeObject *type, object name) noexcept

cdef int free_count = 0


cdef inline Value fresh():
    """A Value without a node, not tracked by the collector."""
    global free_count
    cdef PyObject *o
    if free_count:
        free_count -= 1
        o = free_list[free_count]
        set_refcnt(o, 0)
        return <Value>o                     # the cast takes the first reference
    o = gc_new(type_of(Value))
    memset(<char *>o + sizeof(PyObject), 0, sizeof(Handle) - sizeof(PyObject))
    set_refcnt(o, 0)
    return <Value>o


cdef Value fresh_number():
    """A Number without a node: what an operation gives while this thread records."""
    cdef PyObject *o = gc_new(type_of(Number))
    memset(<char *>o + sizeof(PyObject), 0, sizeof(Handle) - sizeof(PyObject))
    set_refcnt(o, 0)
    return <Value>o


cdef void outlive(Handle *h) noexcept:
    """A Number that is there when its recording ends becomes an Outlived, of which nothing can be asked."""
    cdef PyObject *o = <PyObject *>h
    if type_at(o) == type_of(Number):
        set_type(o, type_of(Outlived))


cdef object new(PyTypeObject *type, PyObject *args, PyObject *kwargs):
    """Value.__new__: every Value, even one whose __init__ is never called, stands for a node."""
    cdef Value v
    if type == type_of(Number) or type == type_of(Outlived):
        raise TypeError("the numbers of a recorded function are made by recording it")
    if type == type_of(Value):
        v = fresh()
    else:
        v = alloc(type)
        set_state(v, Extra.__new__(Extra))  # an object of the program's own: the graph must give back the same one
    need_node(v)
    tape.b[v.index] = 0                     # until __init__ is called: see is_unmade
    return v


cdef inline bint is_unmade(Value v) noexcept:
    """Whether v's __init__ has not been called yet."""
    return tape.op[v.index] == LEAF and tape.b[v.index] == 0


cdef int need_node(Value v) except -1:
    """Give v a node, if it was made by some other __new__ than ours, or only half made. Node 0 is nobody's."""
    if v.index == 0:
        room(tape, 1)
        if v.index == 0:                    # that may have run code of the program's, which has given it one
            hold(tape, push_leaf(tape, 0.0, INT), handle(v))
    return 0


cdef void dealloc(PyObject *self) noexcept:
    global free_count
    cdef Handle *h = <Handle *>self
    cdef int32_t i
    if (type_at(self) != type_of(Value) or <uintptr_t>h.state | <uintptr_t>h.attrs | <uintptr_t>h.weakrefs
            or gc_is_tracked(self)):
        dealloc_with_references(self)
        return
    i = h.index
    if i > 0:
        release(tape, i)
        h.index = 0
    if free_count < FREE_MAX:
        free_list[free_count] = self        # with its reference to the type
        free_count += 1
        return
    gc_del(self)
    decref(type_of(Value))


cdef void dealloc_with_references(PyObject *self) noexcept:
    """The end of a Value that may hold references, or be known to the collector or to weak references.

    Each step may run code of the program's, to which a handle without references is as good as gone: see `living`.
    """
    global free_count
    cdef Handle *h = <Handle *>self
    cdef PyTypeObject *type = type_at(self)
    cdef bint exact = type == type_of(Value)
    cdef int32_t i
    gc_untrack(self)                        # before anything else: a collection would find it, and free it again
    if h.state != NULL and type_at(h.state) == type_of(Extra) and (<Extra>h.state).place and outlives(h):
        return
    if h.weakrefs != NULL:
        clear_weakrefs(self)
    i = h.index
    if (exact and i > 0 and h.attrs != NULL and dict_size(h.attrs) and (i != tape.size - 1 or i < tape.lowest)
            and (h.state == NULL or type_at(h.state) != type_of(Extra))):
        set_refcnt(self, 1)                 # the tape's
        tape.kind[i] |= PARKED
        let_go_of_state(h)                  # a parked handle owns nothing: whoever finds it again gives it this anew
        return
    detach(h)
    let_go_of_state(h)
    let_go_of_attributes(h)
    if exact and free_count < FREE_MAX:
        free_list[free_count] = self        # with its reference to the type
        free_count += 1
        return
    gc_del(self)
    decref(type)


cdef void detach(Handle *h) noexcept:
    cdef int32_t i = h.index
    h.index = 0
    if i > 0:
        release(tape, i)


cdef int traverse(PyObject *self, visitproc visit, void *arg) noexcept:
    cdef Handle *h = <Handle *>self
    cdef int stop
    if h.state != NULL:
        stop = visit(h.state, arg)
        if stop:
            return stop
    if h.attrs != NULL:
        stop = visit(h.attrs, arg)
        if stop:
            return stop
    return visit(<PyObject *>type_at(self), arg)


cdef int clear(PyObject *self) noexcept:
    """For the cycle collector, which has found self in a cycle. Plain attributes stay: they are in none, and the graph
    may still give them back."""
    cdef Handle *h = <Handle *>self
    cdef bint plain = h.state == NULL or type_at(h.state) != type_of(Extra)
    if type_at(self) == type_of(Value):
        gc_untrack(self)                    # as all that hold no references; dealloc relies on it
    let_go_of_state(h)
    if not plain:
        let_go_of_attributes(h)
    return 0


cdef void let_go_of_state(Handle *h) noexcept:
    cdef PyObject *state = h.state
    h.state = NULL
    let_go_of(state)


cdef void let_go_of_attributes(Handle *h) noexcept:
    cdef PyObject *attrs = h.attrs
    h.attrs = NULL
    let_go_of(attrs)


cdef enum:
    SURE = 256                              # places there are in any case
    DEEP = 40                               # calls within each other, from where on things wait
    DEEPEST = 400                           # and most of all

cdef PyObject *surely[SURE]
cdef PyObject **later = surely              # what is to be let go of when those that are too deep are done
cdef Py_ssize_t later_count = 0
cdef Py_ssize_t later_room = SURE


cdef bint room_for_later() noexcept:
    """Whether there is a place for one more; without memory for it there may be none."""
    global later, later_room
    cdef PyObject **larger
    if later_count < later_room:
        return True
    larger = <PyObject **>PyMem_RawMalloc(2 * later_room * sizeof(PyObject *))
    if larger == NULL:
        return False
    memcpy(larger, later, later_count * sizeof(PyObject *))
    if later != surely:
        PyMem_RawFree(later)
    later = larger
    later_room *= 2
    return True


cdef void let_go_of(PyObject *o) noexcept:
    """Give up a reference; a chain of Values of any length dies without deep recursion, and without memory.

    A chain needs one place in `later`, a graph as many as it is wide. What finds none, because memory has ended, goes at
    once, a little deeper; and if that is too deep for C's stack it stays for good, which is better than a crash.
    """
    global depth, later_count
    if o == NULL:
        return
    if depth >= DEEP:
        if room_for_later():
            later[later_count] = o
            later_count += 1
            return
        if depth >= DEEPEST:
            return
    depth += 1
    Py_XDECREF(o)
    if depth == DEEP:
        while later_count:
            later_count -= 1
            Py_XDECREF(later[later_count])
    depth -= 1


cdef void set_state(Value v, object state) noexcept:
    """Give v Python references: from now on the cycle collector looks at it. An Extra stays."""
    cdef Handle *h = handle(v)
    cdef PyObject *old = h.state
    if old != NULL and type_at(old) == type_of(Extra):
        return
    Py_INCREF(state)
    h.state = <PyObject *>state
    Py_XDECREF(old)
    if not gc_is_tracked(<PyObject *>h):
        gc_track(h)


cdef int need_attributes(Value v) except -1:
    """Give v a __dict__, if it has none. Making one may run code of the program's, which may give it one."""
    cdef Handle *h = handle(v)
    if h.attrs == NULL:
        attrs = {}
        if h.attrs == NULL:
            Py_INCREF(attrs)
            h.attrs = <PyObject *>attrs
    return 0


cdef Extra extra_of(Value v):
    """The Python state of v's own node, or None."""
    cdef PyObject *state = handle(v).state
    if state != NULL and type_at(state) == type_of(Extra):
        return <Extra>state
    return None


cdef void move_to(Value v, int32_t i) noexcept:
    """Let v, an object that only we know, stand for node i from now on."""
    if v.index > 0:
        tape.handle[v.index] = NULL
    hold(tape, i, handle(v))


cdef object anchor(Value v):
    """What a node built on v must keep alive, or None."""
    cdef PyObject *state = handle(v).state
    if state == NULL:
        return None
    if type_at(state) == type_of(Extra):
        return v
    return <object>state


cdef object both(object p, object q):
    if p is None or p is q:
        return q
    return p if q is None else (p, q)


cdef int keep(Value v, object anchors) except -1:
    """Let v keep alive, besides what it keeps already, the handles in `anchors`."""
    cdef object old
    cdef object new = None
    if anchors is None:
        return 0
    while True:
        old = kept(v)
        new = both(old, anchors)            # this may run code of the program's, which may give v a state
        if kept(v) is old:
            set_kept(v, new)
            return 0


cdef object kept(Value v):
    """What v keeps alive besides itself."""
    cdef Extra extra = extra_of(v)
    return anchor(v) if extra is None else extra.keep


cdef void set_kept(Value v, object anchors) noexcept:
    cdef Extra extra = extra_of(v)
    if extra is not None:
        extra.keep = anchors
    elif anchors is not None:
        set_state(v, anchors)


cdef Extra own_state(Value v):
    """The Extra of v, made if need be; what is built on v already keeps v alive from now on, or v waits."""
    cdef Extra extra = extra_of(v)
    if extra is not None:
        return extra
    need_node(v)
    tell_collector()
    extra = Extra.__new__(Extra)
    if extra_of(v) is not None:             # those two have run code that made one
        return extra_of(v)
    extra.keep = anchor(v)
    if v.index == tape.size - 1:            # nothing is built on the newest node
        set_state(v, extra)
        return extra
    wait(v, extra)
    try:
        if 16 * waiting_count >= tape.size - lowest_waiting or type(v) is not Value:
            settle()
    finally:
        if extra.place and type(v) is not Value:        # a subclass's end is not ours to put off
            wait_no_more(extra)
            if not gc_is_tracked(<PyObject *>handle(v)):
                gc_track(handle(v))
    return extra


# ---- Values that wait: what is built on them may not keep them alive yet ----
#
# A Value gets Python state of its own after something has been built on it. All that is built on it must keep it alive,
# but to find that out takes a look at every node above: for many such Values it is done at once, by `settle`. Meanwhile
# the collector does not know them, so that they and what they hold are alive for it. One that the program drops is kept
# by the list until `settle` has found whether it is needed; a few at most are, so that the cost is O(1) for each.

cdef Handle **waiting = NULL
cdef Py_ssize_t waiting_count = 0
cdef Py_ssize_t waiting_room = 0
cdef int32_t lowest_waiting = 0             # no node of theirs is below this one
cdef Py_ssize_t dropped_count = 0           # those of them that the list owns
cdef bint told_collector = False


cdef int tell_collector() except -1:
    """See to it, once, that a full collection settles those that wait; or else cycles of theirs go a little later."""
    global told_collector
    if not told_collector:
        told_collector = True
        import gc

        gc.callbacks.append(_before_collection)
    return 0


cdef int wait(Value v, Extra extra) except -1:
    """Make `extra` the state of v, which waits from now on."""
    global waiting, waiting_count, waiting_room, lowest_waiting
    cdef Handle *h = handle(v)
    cdef PyObject *old = h.state
    if waiting_count == waiting_room:
        waiting = <Handle **>resized(waiting, 2 * waiting_room + 64, sizeof(Handle *))
        waiting_room = 2 * waiting_room + 64
    lowest_waiting = min(lowest_waiting, h.index) if waiting_count else h.index
    waiting[waiting_count] = h
    waiting_count += 1
    extra.place = waiting_count
    gc_untrack(<PyObject *>h)
    Py_INCREF(extra)
    h.state = <PyObject *>extra
    Py_XDECREF(old)                         # the Extra keeps it
    return 0


cdef void wait_no_more(Extra extra) noexcept:
    """Strike off the list the Value with this Extra."""
    global waiting, waiting_count, waiting_room, dropped_count
    cdef Handle *last = waiting[waiting_count - 1]
    waiting[extra.place - 1] = last
    (<Extra>last.state).place = extra.place
    waiting_count -= 1
    extra.place = 0
    extra.settling = False
    dropped_count -= extra.dropped
    extra.dropped = False
    if not waiting_count:
        PyMem_RawFree(waiting)
        waiting = NULL
        waiting_room = 0


def _before_collection(phase, dict info):
    """For gc.callbacks: a full collection is to know all Values."""
    if phase == "start" and info["generation"] == 2:
        settle()


cdef void settle_quietly(Tape t) noexcept:
    """`settle` for where nothing can be raised: without memory for it they go on waiting."""
    cdef Error error
    if waiting_count:
        error = put_error_aside()           # an end of an object may come in the middle of one
        try:
            settle()
        except BaseException:
            pass
        restore_error(error)


cdef bint outlives(Handle *h) noexcept:
    """Whether a Value that waits lives on although the program has dropped it: it is needed, or that is not known yet."""
    global dropped_count
    cdef Extra extra = <Extra>h.state
    if h.index == tape.size - 1:
        wait_no_more(extra)
        return False
    Py_INCREF(<object><PyObject *>h)                    # the list's
    extra.dropped = True
    dropped_count += 1
    if 256 * dropped_count >= tape.size - lowest_waiting:
        Py_INCREF(<object><PyObject *>h)                # and ours, to see what comes of it: maybe another call of dealloc
        settle_quietly(tape)
        decref_object(<PyObject *>h)
    return True


cdef int settle() except -1:
    """Let all that is built on the Values that wait keep them alive: one look at the nodes from the lowest on.

    What a node must keep of them is known from its operands. `below` has it for each node, as `state` would, up to the
    nearest Values with state of their own.
    """
    cdef Still still
    cdef Handle **batch
    cdef PyObject **below = NULL
    cdef Extra extra
    cdef PyObject *p
    cdef PyObject *q
    cdef Py_ssize_t k, count, known = 0, places = 0
    cdef int32_t low, i, a, b
    if not waiting_count:
        return 0
    still = Still()
    count = waiting_count
    if not count:                           # making that has run code of the program's
        return 0
    batch = <Handle **>resized(NULL, count, sizeof(Handle *))
    low = waiting[0].index
    for k in range(count):
        batch[k] = waiting[k]
        Py_INCREF(<object><PyObject *>batch[k])
        (<Extra>batch[k].state).settling = True
        low = min(low, batch[k].index)
    try:
        still.begin()
        i = low
        while i < tape.size:                # code of the program's may push nodes meanwhile
            if known == places:
                below = <PyObject **>resized(below, 2 * places + 1024, sizeof(PyObject *))
                places = 2 * places + 1024
            below[known] = NULL
            known += 1
            a, b = tape.a[i], tape.b[i]
            p = below[a - low] if low <= a < i else NULL
            q = below[b - low] if low <= b < i and b != a else NULL
            if p != NULL and (q == NULL or q == p) and tape.handle[i] == NULL:
                Py_INCREF(<object>p)
                below[known - 1] = p
            elif p != NULL or q != NULL or tape.handle[i] != NULL:
                needed = needed_by(i, None if p == NULL else <object>p, None if q == NULL else <object>q)
                if needed is not None:
                    Py_INCREF(needed)
                    below[known - 1] = <PyObject *>needed
            i += 1
        for k in range(count):
            extra = <Extra>batch[k].state
            if extra.settling:
                if extra.dropped:
                    decref_object(<PyObject *>batch[k])     # the list's; we have one
                wait_no_more(extra)
                if not gc_is_tracked(<PyObject *>batch[k]):
                    gc_track(batch[k])
    finally:
        for k in range(known):
            Py_XDECREF(below[k])
        PyMem_RawFree(below)
        for k in range(count):
            if batch[k].state != NULL and type_at(batch[k].state) == type_of(Extra):
                (<Extra>batch[k].state).settling = False
            decref_object(<PyObject *>batch[k])
        PyMem_RawFree(batch)
        still.end()
    return 0


cdef object needed_by(int32_t i, object of_a, object of_b):
    """What is built on node i must keep, of the Values that wait, where its operands say `of_a` and `of_b`; the Value that
    stands for node i keeps it from now on."""
    cdef Handle *h = living(tape, i)
    cdef Extra extra
    if h == NULL or tape.kind[i] & PARKED:
        return both(of_a, of_b)
    extra = extra_of(<Value><PyObject *>h)
    if of_a is None and of_b is None and (extra is None or not extra.settling):
        return None
    v = <Value><PyObject *>h
    needed = both(of_a, of_b)               # this may run code of the program's
    if needed is not None:
        keep_of_operands(v, tape.a[i], tape.b[i], needed)
    extra = extra_of(v)
    if extra is None:
        return needed
    return v if extra.settling else None    # what is built on v keeps v, and so all that v keeps


cdef int keep_of_operands(Value v, int32_t a, int32_t b, object needed) except -1:
    """Let v keep `needed`: by what its operands keep, where that is known, so that nothing is kept twice."""
    if not (is_known(a) and is_known(b)):
        return keep(v, needed)
    anchors = both(anchor_at(a), anchor_at(b))      # what v has by now is looked at after that
    if anchors is None:
        return keep(v, needed)
    set_kept(v, anchors)
    return 0


cdef inline bint is_known(int32_t i) noexcept:
    return tape.op[i] == LEAF or (living(tape, i) != NULL and not tape.kind[i] & PARKED)


cdef inline object anchor_at(int32_t i):
    cdef Handle *h = living(tape, i)
    if h == NULL or tape.kind[i] & PARKED:
        return None
    return anchor(<Value><PyObject *>h)


# ---- recordings under way (see tape.pyx and recording.py) ----

cdef int refuse(Value v, str what) except -1:
    """An error if `what` of v, which Python is about to see, may be another when a recording under way is replayed."""
    r = tape.recorder()
    if r is not None and not tape.is_of_another_recording(v.index):
        r.refuse(v, what)
    elif tape.is_recorded(v.index):
        from tapegrad.recording import refuse_elsewhere

        refuse_elsewhere(what)
    return 0


def _recorder():
    return tape.recorder()


def _peek(Value v not None):
    """The data of v as a float, also in a recording."""
    return tape.value[v.index]


def _apply(str label, Value v not None, Value w=None):
    """The Value of an operation of the table, of recordings too, on floats; a Number while this thread records."""
    cdef Value out = fresh()
    cdef int op = code(label.encode())
    cdef int32_t i, j
    if op < 0 or table[op].operands == PARAM or (table[op].operands == BINARY) != (w is not None):
        raise ValueError(f"no operation {label!r} of so many operands")
    if tape.size > tape.limit - 1 and tape.reserve(1):
        return followed(op, v, w, 0.0, 0, False)
    i = v.index
    j = i if w is None else w.index
    hold(tape, push(tape, op, i, j, value_of_floats(op, tape.value[i], tape.value[j], 0.0), FLOAT), handle(out))
    keep(out, anchor(v) if w is None else both(anchor(v), anchor(w)))
    return out


def _select(Value condition not None, Value x not None, Value y not None):
    """x if the condition is not 0, else y. The node before a SELECT is a copy of the condition, which goes with it."""
    cdef Value out = fresh_number() if records() else fresh()
    cdef int32_t c, i, j
    cdef int kind
    refuse_outlived(condition)
    refuse_outlived(x)
    refuse_outlived(y)
    room(tape, 2)
    c, i, j = condition.index, x.index, y.index
    kind = tape.kind[i] & KIND
    if kind != tape.kind[j] & KIND:
        kind &= tape.kind[j] & INT
    if tape.value[c] == 0.0:
        i, j = j, i
    push(tape, COPY, c, c, tape.value[c], FLOAT)
    hold(tape, push(tape, SELECT, i, j, tape.value[i], kind), handle(out))
    keep(out, both(both(anchor(condition), anchor(x)), anchor(y)))
    return out


def _value_at(int32_t i):
    """The Value that stands for node i of a recording, or that the program holds."""
    cdef Value w = fresh_number() if records() else fresh()
    if i <= 0 or i >= tape.size:
        raise ValueError(f"there is no node {i}")
    if tape.kind[i] & PARKED:
        raise ValueError("a Value that the function has read is gone")
    if living(tape, i) != NULL:
        return <object><PyObject *>tape.handle[i]
    replace_handle(tape, i, handle(w))
    keep(w, anchors_below(i))
    return w


cdef object anchors_below(int32_t i):
    """What a Value that stands for node i, which had none, must keep alive. Nodes must be held still."""
    cdef object anchors = None
    cdef set seen = set()
    cdef list todo = [i]
    cdef int32_t j, k
    cdef Handle *h
    while todo:
        j = todo.pop()
        for k in (tape.a[j], tape.b[j], tape.a[j - 1] if tape.op[j] == SELECT else j):
            if k >= j or k in seen:
                continue
            seen.add(k)
            h = living(tape, k)
            if h == NULL or tape.kind[k] & PARKED:
                todo.append(k)
            elif h.state != NULL:
                anchors = both(anchors, anchor(<Value><PyObject *>h))
    return anchors


def _leaves(list numbers not None, bytes kinds=None):
    """A list of new Numbers with these numbers; `kinds` has an f, i or b for each of them.

    Of a list, not of a buffer: one memoryview would be two thirds of what importing this module takes.
    """
    cdef list out = []
    cdef double x
    cdef Value v
    cdef Py_ssize_t k
    cdef int kind = FLOAT
    for k in range(len(numbers)):
        x = numbers[k]
        if kinds is not None:
            kind = BOOL if kinds[k] == 98 else INT if kinds[k] == 105 else FLOAT
        v = fresh_number()
        room(tape, 1)
        hold(tape, push_leaf(tape, x, kind), handle(v))
        out.append(v)
    return out


# ---- numbers in and out ----

cdef object number(double y, int kind):
    if kind == FLOAT:
        return PyFloat_FromDouble(y)
    if kind == BOOL:
        return y != 0.0
    return PyLong_FromLongLong(<long long>y)


cdef inline object shown(Value v):
    return number(tape.value[v.index], tape.kind[v.index] & KIND)


cdef inline object shown_grad(Value v):
    return number(tape.grad[v.index], tape.flags[v.index] & GRAD_KIND)


cdef object real(object x):
    """x as a float or an int if it is a real number of another type (numpy scalars, Fraction), else None."""
    import numbers
    if isinstance(x, numbers.Integral):
        return int(x)
    if isinstance(x, numbers.Real):
        return float(x)
    if type(x).__module__ == "numpy" and type(x).__name__ in ("bool", "bool_"):
        return bool(x)
    return None


cdef inline int as_number(object x, double *y, int *kind) except -1:
    """Read a real number; 0 if x is none."""
    if PyFloat_CheckExact(x):
        y[0] = PyFloat_AS_DOUBLE(x)
        kind[0] = FLOAT
        return 1
    return other_number(x, y, kind)


cdef object big_object = None
cdef double big_int = 0.0                   # the last int that a recording met which is too large to be exact


cdef int other_number(object x, double *y, int *kind) except -1:
    global big_int, big_object
    if PyLong_Check(x):
        y[0] = PyLong_AsDouble(x)
        kind[0] = BOOL if PyBool_Check(x) else INT if fabs(y[0]) < EXACT else FLOAT
        if kind[0] == FLOAT and tape.recordings:
            big_int = y[0]                  # it is no float to the ints of a recording: see `followed`
            big_object = x
        return 1
    if PyFloat_Check(x):
        y[0] = PyFloat_AS_DOUBLE(x)
        kind[0] = FLOAT
        return 1
    x = real(x)
    return 0 if x is None else as_number(x, y, kind)


cdef int need_number(object x, str what, double *y, int *kind) except -1:
    if not as_number(x, y, kind):
        raise TypeError(f"{what} must be a real number (float, int, bool or a numpy scalar), not {type(x).__name__}"
                        + ("; use its .data" if isinstance(x, Value) else
                           "; take one element, for example with .item()" if hasattr(x, "item") else ""))
    return 0


cdef bint is_plain(object x) noexcept:
    """A value that can be no part of a reference cycle: None, a str, bytes, a number."""
    return x is None or not is_gc(x) and (isinstance(x, (str, bytes)) or PyFloat_Check(x) or PyLong_Check(x))


# ---- operations ----

# The operators as they are before any program has assigned to the class.
cdef binaryfunc original_add, original_multiply
cdef unaryfunc original_negative
cdef ternaryfunc original_power


cdef PyNumberMethods *now = NULL            # as they are at present


cdef inline bint same_add() noexcept:
    return now.nb_add == original_add


cdef inline bint same_multiply() noexcept:
    return now.nb_multiply == original_multiply


cdef inline bint unpatched() noexcept:
    return (same_add() and same_multiply() and now.nb_negative == original_negative
            and now.nb_power == original_power)


cdef inline bint ours(object v) noexcept:
    """Whether v is exactly a Value with our operators, so that what `-` and `/` are made of need not be looked up."""
    return type(v) is Value and unpatched()


cdef int check(int op, double a, double b, double y) except -1:
    """Raise what plain Python raises where y = op(a, b) is nan or inf; return where it raises nothing."""
    cdef int errors = table[op].errors
    name = table[op].label.decode()
    if errors == TOINT:
        if isnan(y):
            raise ValueError(f"{name}: cannot convert float NaN to integer")
        raise OverflowError(f"{name}: cannot convert float infinity to integer")
    if isnan(a) or isnan(b) or errors == POWER and (isinf(a) or isinf(b)):
        return 0
    if errors == POWER:
        if a == 0.0:
            raise ZeroDivisionError(f"{a} cannot be raised to a negative power ({b})")
        if isnan(y):
            raise ValueError(f"negative number {a} cannot be raised to a fractional power ({b}): the result is complex")
        raise OverflowError(f"result too large: {a} ** {b}")
    if isnan(y):
        raise ValueError(f"math domain error: {name}({a})")
    if isinf(a):
        return 0
    if errors == RANGE:
        raise OverflowError(f"math range error: {name}({a})")
    raise ValueError(f"math domain error: {name}({a})")


cdef inline double evaluate(int op, double a, double b, int ka, int kb, int *kind) except? -1.0:
    cdef double y = value_of(op, a, b, ka, kb, kind)
    if table[op].errors != NONE and not isfinite(y):
        check(op, a, 0.0 if table[op].operands == UNARY else b, y)
    return y


cdef inline int32_t push_op(int op, int32_t i, int32_t j) except -1:
    """Compute and push one operation on nodes i and j, for which there is room."""
    cdef int kind = 0
    cdef double y
    if not (tape.kind[i] | tape.kind[j]) & KIND:        # sums and products of floats are most of all there is
        if op == ADD:
            return push(tape, ADD, i, j, value_of_sum(tape.value[i], tape.value[j]), FLOAT)
        if op == MUL:
            return push(tape, MUL, i, j, value_of_product(tape.value[i], tape.value[j]), FLOAT)
    y = evaluate(op, tape.value[i], tape.value[j], tape.kind[i] & KIND, tape.kind[j] & KIND, &kind)
    return push(tape, op, i, j, y, kind)


cdef object followed(int op, Value v, Value w, double x, int kx, bint x_first):
    """An operation while this thread records, on v and w or, where w is None, on v and the number x: a Number.

    Its kind is the one that it has whatever the operands' numbers are, and an int is exact."""
    cdef int operands = table[op].operands
    cdef int ka, kb, kind = 0
    cdef double a, b, y
    cdef int32_t i, j
    cdef bint large
    cdef Value out
    global big_int
    recorder = tape.recorder()
    refuse_outlived(v)
    if w is not None:
        refuse_outlived(w)
    if (op == POW and tape.kind[v.index] & 1 and (kx if w is None else tape.kind[w.index]) & 1
            and (x_first or w is not None)):
        return recorder.power_of_ints(number(x, kx) if x_first else v, v if x_first else w)
    out = fresh_number()
    room(tape, 2)
    i = v.index
    j = i
    if operands != UNARY:
        j = push_leaf(tape, x, kx) if w is None else w.index
    if x_first:
        i, j = j, i
    a, b = tape.value[i], tape.value[j]
    ka, kb = tape.kind[i] & KIND, tape.kind[j] & KIND
    y = value_and_kind(op, a, b, ka, kb, &kind)
    if kind != BOOL and not ka & kb & 1 and op != TRUNC and table[op].errors != TOINT:
        kind = FLOAT                        # of a maximum, say, it would be that of the larger
    if kind & 1:
        y += 0.0                            # an int has no -0
    if big_int != 0.0 and w is None and x == big_int and (ka | kb) & 1 and kind == FLOAT:
        big_int = 0.0
        return recorder.exactly(table[op].label.decode(), big_object if x_first else v, v if x_first else big_object)
    big_int = 0.0
    large = fabs(y) >= EXACT and kind and ka & kb & 1
    if not fabs(y) < EXACT:
        kind = FLOAT
    hold(tape, push(tape, op, i, j, y, kind), handle(out))
    keep(out, anchor(v) if w is None else both(anchor(v), anchor(w)))
    if (large or kind == INT and (op == ADD or op == SUB or op == MUL or op == POWN)
            or (op == TRUNC or table[op].errors == TOINT) and not ka & 1):
        recorder.whole(out, table[op].label.decode(), v, number(x, kx) if w is None else w)
    if large:
        if x_first:
            return recorder.exactly(table[op].label.decode(), number(x, kx), v)
        return recorder.exactly(table[op].label.decode(), v, number(x, kx) if w is None else w)
    return out


cdef object attempted(int op, Value v, Value w, double x, int kx, bint x_first):
    """As `followed`; whether plain Python would raise an error is a guard, where it could be caught."""
    cdef object out = followed(op, v, w, x, kx, x_first)
    if type(out) is not Number:
        return out
    if table[op].errors != NONE or op == DIV or op == MOD or op == FLOORDIV:
        recorder = tape.recorder()
        if recorder.is_tried():
            recorder.attempt(out, table[op].label.decode(), number(x, kx) if x_first else v,
                             v if x_first else number(x, kx) if w is None else w)
    if table[op].errors == TOINT and type(out) is Number and not fabs(tape.value[(<Value>out).index]) < EXACT:
        return tape.recorder().large(out)
    return out


cdef object of_two(int op, object left, object right):
    """left - right and so on, while this thread records: one of them is a Value."""
    cdef double x = 0.0
    cdef int kind = 0
    if isinstance(left, Value) and isinstance(right, Value):
        return attempted(op, <Value>left, <Value>right, 0.0, 0, False)
    if not as_number(right if isinstance(left, Value) else left, &x, &kind):
        return NotImplemented
    if isinstance(left, Value):
        return attempted(op, <Value>left, None, x, kind, False)
    return attempted(op, <Value>right, None, x, kind, True)


def _operate(str label, left, right):
    """left - right and so on, by the label of the operation, while this thread records."""
    return of_two(code(label.encode()), left, right)


cdef int refuse_outlived(Value v) except -1:
    if type(v) is Outlived:
        from tapegrad.recording import refuse_outlived as raise_error

        raise_error(v)
    return 0


cdef bint records() except -1:
    """Whether this thread is recording."""
    return tape.recordings and tape.recorder() is not None


cdef inline object unary(Value v, int op):
    cdef Value out = fresh()
    if tape.size > tape.limit - 1 and tape.reserve(1):
        return attempted(op, v, None, 0.0, 0, False)
    hold(tape, push_op(op, v.index, v.index), handle(out))
    if handle(v).state != NULL:
        keep(out, anchor(v))
    return out


cdef inline object binary(Value v, Value w, int op):
    cdef Value out = fresh()
    if tape.size > tape.limit - 1 and tape.reserve(1):
        return attempted(op, v, w, 0.0, 0, False)
    hold(tape, push_op(op, v.index, w.index), handle(out))
    if handle(v).state != NULL or handle(w).state != NULL:
        keep(out, both(anchor(v), anchor(w)))
    return out


cdef inline object with_leaf(Value v, double x, int kind, int op):
    """op(v, x), with the number x in a leaf of its own."""
    cdef Value out = fresh()
    cdef int32_t i, leaf
    cdef int k = 0
    cdef double y
    if tape.size > tape.limit - 2 and tape.reserve(2):
        return attempted(op, v, None, x, kind, False)
    i = v.index
    y = evaluate(op, tape.value[i], x, tape.kind[i] & KIND, kind, &k)
    leaf = push_leaf(tape, x, kind)
    hold(tape, push(tape, op, i, leaf, y, k), handle(out))
    if handle(v).state != NULL:
        keep(out, anchor(v))
    return out


cdef inline object symmetric(object left, object right, int op):
    """+ and *. As in micrograd, `2 * v` is the node of `v * 2`."""
    cdef double x = 0.0
    cdef int kind = 0
    if isinstance(left, Value):
        if isinstance(right, Value):
            return binary(<Value>left, <Value>right, op)
        if not as_number(right, &x, &kind):
            return NotImplemented
        return with_leaf(<Value>left, x, kind, op)
    if not as_number(left, &x, &kind):
        return NotImplemented
    if type(right) is not Value and (type(right) is not Number or not tape.recordings) or not (
            same_add() if op == ADD else same_multiply()):
        # the program's subclass, or the class by now, may have an operator of its own
        return right + number(x, kind) if op == ADD else right * number(x, kind)
    return with_leaf(<Value>right, x, kind, op)


cdef inline object named(object v, object w, int op):
    """A named operation of two operands, the first a Value."""
    cdef double x = 0.0
    cdef int kind = 0
    if isinstance(w, Value):
        refuse_outlived(<Value>w)
        return binary(<Value>v, <Value>w, op)
    need_number(w, "the other operand", &x, &kind)
    return with_leaf(<Value>v, x, kind, op)


cdef object subtract(Value v, Value w):
    """v + (w * -1)"""
    cdef Value out = fresh()
    cdef int32_t minus, inner
    if tape.size > tape.limit - 3 and tape.reserve(3):
        return attempted(SUB, v, w, 0.0, 0, False)
    minus = push_leaf(tape, -1.0, INT)
    inner = push_op(MUL, w.index, minus)
    hold(tape, push_op(ADD, v.index, inner), handle(out))
    if handle(v).state != NULL or handle(w).state != NULL:
        keep(out, both(anchor(v), anchor(w)))
    return out


cdef object divide(Value v, Value w):
    """v * (w ** -1)"""
    cdef Value out = fresh()
    cdef int32_t minus, inner
    cdef int kind = 0
    cdef double y
    if tape.size > tape.limit - 3 and tape.reserve(3):
        return attempted(DIV, v, w, 0.0, 0, False)
    y = evaluate(POWN, tape.value[w.index], unknown(-1.0), tape.kind[w.index] & KIND, INT, &kind)
    minus = push_leaf(tape, -1.0, INT)
    inner = push(tape, POWN, w.index, minus, y, kind)
    hold(tape, push_op(MUL, v.index, inner), handle(out))
    if handle(v).state != NULL or handle(w).state != NULL:
        keep(out, both(anchor(v), anchor(w)))
    return out


cdef object number_minus(double x, int kind, Value w):
    """(w * -1) + leaf(x)"""
    cdef Value out = fresh()
    cdef int32_t inner
    if tape.size > tape.limit - 4 and tape.reserve(4):
        return attempted(SUB, w, None, x, kind, True)
    inner = push_leaf(tape, -1.0, INT)
    inner = push_op(MUL, w.index, inner)
    hold(tape, push_op(ADD, inner, push_leaf(tape, x, kind)), handle(out))
    if handle(w).state != NULL:
        keep(out, anchor(w))
    return out


cdef object number_over(double x, int kind, Value w):
    """(w ** -1) * leaf(x)"""
    cdef Value out = fresh()
    cdef int32_t inner
    cdef int k = 0
    cdef double y
    if tape.size > tape.limit - 4 and tape.reserve(4):
        return attempted(DIV, w, None, x, kind, True)
    y = evaluate(POWN, tape.value[w.index], unknown(-1.0), tape.kind[w.index] & KIND, INT, &k)
    inner = push(tape, POWN, w.index, push_leaf(tape, -1.0, INT), y, k)
    hold(tape, push_op(MUL, inner, push_leaf(tape, x, kind)), handle(out))
    if handle(w).state != NULL:
        keep(out, anchor(w))
    return out


cdef object from_leaf(double x, int kind, Value w, int op):
    """op(x, w), with the number x in a leaf of its own."""
    cdef Value out = fresh()
    cdef int32_t leaf
    cdef int k = 0
    cdef double y
    if tape.size > tape.limit - 2 and tape.reserve(2):
        return attempted(op, w, None, x, kind, True)
    y = evaluate(op, x, tape.value[w.index], kind, tape.kind[w.index] & KIND, &k)
    leaf = push_leaf(tape, x, kind)
    hold(tape, push(tape, op, leaf, w.index, y, k), handle(out))
    if handle(w).state != NULL:
        keep(out, anchor(w))
    return out


cdef object with_parameter(Value v, object parameter, str what, int op):
    cdef double x = 0.0
    cdef int kind = 0
    need_number(parameter, what, &x, &kind)
    return with_leaf(v, x, kind, op)


cdef object rounded(Value v, object ndigits):
    """round(v, ndigits): a node of the table's row for round, with Python's value."""
    cdef Value out = fresh()
    cdef double y = 0.0
    cdef int kind = 0
    if tape.recordings:
        refuse(v, "round(v, ndigits)")
    need_number(round(v.data, ndigits), "the result of round", &y, &kind)
    room(tape, 1)
    hold(tape, push(tape, code("round"), v.index, v.index, y, kind), handle(out))
    if handle(v).state != NULL:
        keep(out, anchor(v))
    return out


cdef inline int negate(double *x, int *kind) noexcept:
    """The Python number -x."""
    kind[0] &= 1
    x[0] = 0.0 - x[0] if kind[0] else -x[0]
    return 0


cdef object operand(Value v, bint second):
    """A Value for an operand's node: the very object that the program holds, where it holds one."""
    cdef Value w = fresh()                  # first, because it may start a collection, which may move nodes
    cdef int32_t i = tape.b[v.index] if second else tape.a[v.index]
    cdef Handle *h = living(tape, i)
    cdef Extra extra
    if i == 0:                              # of a Value that had no node
        return w
    if h != NULL:
        w = <Value><PyObject *>h
        if not tape.kind[i] & PARKED:
            return w
        tape.kind[i] &= ~<int>PARKED
        decref_object(<PyObject *>h)        # the reference that the tape had is ours now
    else:
        replace_handle(tape, i, handle(w))
    extra = extra_of(v)
    keep(w, anchor(v) if extra is None else extra.keep)
    return w


cdef int operation(Value v) noexcept:
    """The operation that made v, whatever the program has replaced since."""
    cdef int op = tape.op[v.index]
    cdef Extra extra
    if op == CUSTOM:
        extra = extra_of(v)
        return LEAF if extra is None else extra.code
    return op


cdef tuple operands(Value v):
    cdef int op = operation(v)
    if op <= CUSTOM:
        return ()
    if table[op].operands == BINARY:
        return operand(v, False), operand(v, True)
    return (operand(v, False),)


cdef tuple children_of(Value v):
    cdef Extra extra = extra_of(v)
    if extra is not None and extra.children is not None:
        return extra.children
    return operands(v)


cdef Extra custom(Value v):
    """Make v's a custom node, which the sweep leaves to its Extra, and return that."""
    cdef Extra extra = own_state(v)
    cdef int op
    if extra.children is None:
        extra.children = operands(v)        # which may run code of the program's
    op = tape.op[v.index]
    if op != CUSTOM:
        extra.code = op
        tape.op[v.index] = CUSTOM
    return extra


cdef int make_own(Value v, object _children, object _op) except -1:
    """Make v a node of the program's own: these children, this name or these local gradients; a leaf without any."""
    cdef tuple children = tuple(_children)
    cdef tuple given = None
    cdef Extra extra
    need_values(children, "_children")
    if not isinstance(_op, str):
        if not isinstance(_op, (tuple, list)):
            raise TypeError(f"_op must be a str, or a tuple of local gradients, not {type(_op).__name__}")
        given = need_numbers(_op, "local gradients")
        if len(given) != len(children):
            raise ValueError(f"{len(given)} local gradients for {len(children)} children")
        _op = ""
    if not children and not _op and handle(v).state == NULL:
        return 0
    extra = own_state(v)
    extra.children = children
    extra.backward = BUILT_IN
    extra.partials = given
    extra.op = _op
    extra.code = 0
    extra.keep = None
    tape.op[v.index] = CUSTOM if children else LEAF
    return 0


cdef int need_values(tuple values, str what) except -1:
    for value in values:
        if not isinstance(value, Value):
            raise TypeError(f"{what} must be Values, not {type(value).__name__}")
        refuse_outlived(<Value>value)
    return 0


cdef tuple need_numbers(object values, str what):
    cdef double x = 0.0
    cdef int kind = 0
    cdef list numbers = []
    for value in values:
        need_number(value, what, &x, &kind)
        numbers.append(number(x, kind))
    return tuple(numbers)


def _index_of(Value v not None):
    refuse_outlived(v)
    return v.index


def _kind_of(Value v not None):
    """float, int or bool: what the number of v is shown as."""
    cdef int kind = tape.kind[v.index] & KIND
    return bool if kind == BOOL else int if kind == INT else float


def _of_kind(Value v not None, int letter):
    """A copy of v, while this thread records, that is an int (the letter i) or a bool (b)."""
    cdef Value out = followed(code("copy"), v, None, 0.0, 0, False)
    tape.kind[out.index] = (tape.kind[out.index] & ~<int>KIND) | <uint8_t>(INT if letter == 105 else BOOL)
    return out


cdef bint closures = False                  # whether any Value has ever had a function of its own


cdef void break_cycles(Tape t) noexcept:
    """Let go of every Value that nothing but its own closure refers to; the cycle collector need not be on for it."""
    cdef int32_t i
    cdef Handle *h
    if not closures:
        return
    for i in range(t.size - 1, -1, -1):
        if i < t.size:                      # what is let go may run code of the program's
            h = t.handle[i]
            if h != NULL and h.state != NULL and t.op[i] == CUSTOM and only_closure_refers_to(<PyObject *>h):
                let_go(<object><PyObject *>h)


cdef void let_go(Value v) noexcept:
    cdef Extra extra = extra_of(v)
    extra.backward = None                   # the last reference to v but ours goes with it


cdef bint only_closure_refers_to(PyObject *v) noexcept:
    """Whether all references to v are from cells of its own closure that nobody else can see."""
    cdef PyObject *state = (<Handle *>v).state
    cdef PyObject *function
    cdef PyObject *cells
    cdef PyObject *cell
    cdef Py_ssize_t k, found = 0
    if type_at(state) != type_of(Extra) or Py_REFCNT(state) != 1:
        return False
    function = <PyObject *>(<Extra>state).backward
    if not is_function(function) or Py_REFCNT(function) != 1:
        return False
    cells = closure_of(function)
    if cells == NULL or Py_REFCNT(cells) != 1:
        return False
    for k in range(tuple_size(cells)):
        cell = tuple_item(cells, k)
        if cell_content(cell) == v:
            if Py_REFCNT(cell) != 1:
                return False
            found += 1
    return found > 0 and found == Py_REFCNT(v)


cdef class Value:
    """Value(data, _children=(), _op='', label=None)\n--\n\nA number that remembers how it was computed, so that `backward` can tell its derivatives.

    data       a real number: float, int, bool or a numpy scalar
    _children  the Values it was computed from, where the program builds a node itself
    _op        a short name of the operation, for drawings; or a tuple with the derivative by each child
    label      a name of the program's, for drawings; any other attribute may be set as well

    >>> a, b = Value(2.0), Value(-3.0)
    >>> y = a * b + a ** 2
    >>> y.backward()
    >>> y, a.grad, b.grad
    (Value(data=-2.0, grad=1), 1.0, 2.0)
    """

    def __init__(self, data, _children=(), _op="", label=None):
        cdef double y = 0.0
        cdef int kind = 0
        cdef int32_t i
        need_number(data, "data", &y, &kind)
        if tape.recordings and not is_unmade(self):
            refuse(self, "__init__")
        if self.index == 0:
            need_node(self)
            if type(self) is not Value:
                own_state(self)             # as in __new__
        if _op is not "" or _children is not () or handle(self).state != NULL:
            make_own(self, _children, _op)
        i = self.index
        if tape.op[i] != CUSTOM or handle(self).state == NULL:
            tape.op[i] = LEAF
        tape.a[i] = tape.b[i] = i
        tape.value[i] = y
        tape.kind[i] = <uint8_t>kind
        tape.grad[i] = 0.0
        tape.flags[i] = INT
        if label is not None:
            self.label = label

    # ---- what a program reads and writes ----

    @property
    def data(self):
        """The value: a float, or an int where it came from ints."""
        if tape.recordings:
            refuse(self, "data")
        return shown(self)

    @data.setter
    def data(self, x):
        cdef double y = 0.0
        cdef int kind = 0
        if tape.recordings:
            refuse(self, "data =")
        need_number(x, "data", &y, &kind)
        if self.index == 0:
            need_node(self)
        tape.value[self.index] = y
        tape.kind[self.index] = (tape.kind[self.index] & ~<int>KIND) | <uint8_t>kind

    @property
    def grad(self):
        """The derivative of the values that `backward` was called on by this one, summed over the calls."""
        if tape.recordings:
            refuse(self, "grad")
        return shown_grad(self)

    @grad.setter
    def grad(self, x):
        cdef double y = 0.0
        cdef int kind = 0
        if tape.recordings:
            refuse(self, "grad =")
        need_number(x, "grad", &y, &kind)
        if self.index == 0:
            need_node(self)
        tape.grad[self.index] = y
        tape.flags[self.index] = (tape.flags[self.index] & ~<int>GRAD_KIND) | <uint8_t>kind

    @property
    def __dict__(self):
        """The attributes that the program has set."""
        cdef Handle *h = handle(self)
        own_state(self)                     # the caller may put anything into it
        need_attributes(self)
        return <object>h.attrs

    def __setattr__(self, name, value):
        cdef PyObject *attrs = handle(self).attrs
        if name is DATA or name is GRAD:
            PyObject_GenericSetAttr(self, name, value)
            return
        if attrs == NULL and type(name) is str and look_up(type_of_object(self), name) == NULL:
            need_attributes(self)
            attrs = handle(self).attrs
        if is_plain(value) and type(name) is str:
            PyObject_GenericSetAttr(self, name, value)
            return
        before = END if attrs == NULL else (<dict>attrs).get(name, END)
        PyObject_GenericSetAttr(self, name, value)
        attrs = handle(self).attrs
        if attrs != NULL and name in <dict>attrs:
            try:
                own_state(self)
            except BaseException:
                if before is END:
                    del (<dict>attrs)[name]
                else:
                    (<dict>attrs)[name] = before
                raise
        elif name == "__class__" and own_state(self).place:     # an object of the program's own, as in __new__
            settle()

    def __delattr__(self, name):
        cdef PyObject *attrs = handle(self).attrs
        if attrs == NULL or name not in <dict>attrs:
            raise AttributeError(f"{name!r} of a Value cannot be deleted" if hasattr(self, name) else
                                 f"{type(self).__name__!r} object has no attribute {name!r}")
        del (<dict>attrs)[name]

    @property
    def _children(self):
        """The operands, in order; may be replaced, and then decides what `backward` visits, and in which order."""
        cdef Extra extra = extra_of(self)
        if extra is not None and extra.children is not None:
            return extra.children
        return operands(self)

    @_children.setter
    def _children(self, children):
        cdef tuple values = tuple(children)
        need_values(values, "_children")
        custom(self).children = values

    @property
    def _prev(self):
        """The operands, as a set; may be replaced, as `_children`, by any iterable of Values."""
        return set(self._children)

    @_prev.setter
    def _prev(self, children):
        cdef tuple values = tuple(children)
        need_values(values, "_prev")
        custom(self).children = values

    @property
    def _op(self):
        """The operation that made this Value: '+', '*', '**3', 'ReLU', 'exp', ...; '' for a leaf. May be replaced."""
        cdef Extra extra = extra_of(self)
        cdef int32_t i = self.index
        cdef int op = operation(self)
        if extra is not None and extra.op is not None:
            return extra.op
        if op == POWN:
            return f"**{number(tape.value[tape.b[i]], tape.kind[tape.b[i]] & KIND)}"
        return table[op].label.decode()

    @_op.setter
    def _op(self, op):
        if not isinstance(op, str):
            raise TypeError(f"_op must be a str, not {type(op).__name__}")
        own_state(self).op = op

    @property
    def _local_grads(self):
        """The local derivatives, a number for each child, at the current data; () where they are not known."""
        cdef Extra extra = extra_of(self)
        cdef int op = operation(self)
        cdef int32_t a = tape.a[self.index]
        cdef int32_t b = tape.b[self.index]
        cdef double d[2]
        cdef list local_grads = []
        cdef bint is_int
        cdef int k
        if tape.recordings:
            refuse(self, "_local_grads")
        if extra is not None and extra.partials is not None:
            return extra.partials
        if op <= CUSTOM:
            return ()
        partials(op, tape.value[a], tape.value[b], tape.value[self.index], &d[0], &d[1])
        for k in range(2 if table[op].operands == BINARY else 1):
            is_int = partial_is_int(op, k, tape.kind[a], tape.kind[b], tape.value[b]) and fabs(d[k]) < EXACT
            local_grads.append(number(d[k], INT if is_int else FLOAT))
        return tuple(local_grads)

    @_local_grads.setter
    def _local_grads(self, local_grads):
        cdef tuple values = need_numbers(local_grads, "local gradients")
        cdef tuple children = children_of(self)
        if len(values) != len(children):
            raise ValueError(f"{len(values)} local gradients for {len(children)} children")
        custom(self).partials = values

    def local_gradients(self):
        """The derivative of this Value by each of its operands, at the current data: pairs of the two, in order.

        The same Value may come twice, as in x * x. Empty for a leaf, and where a function of the program's own does the
        step (`_backward` was replaced): only calling it can tell what it adds, which `tapegrad.explain` does.

        >>> x, y = Value(2.0), Value(-3.0)
        >>> (x * y).local_gradients()
        [(Value(data=2.0, grad=0), -3.0), (Value(data=-3.0, grad=0), 2.0)]
        """
        cdef Extra extra = extra_of(self)
        if tape.recordings:
            refuse(self, "local_gradients()")
        if extra is not None and extra.backward is not BUILT_IN:
            return []
        if extra is not None and extra.partials is not None:
            return list(zip(extra.children, extra.partials))
        return list(zip(operands(self), self._local_grads))

    @property
    def _backward(self):
        """What `backward` calls at this node: it adds to the grads of the operands. May be replaced by a function."""
        cdef Extra extra = extra_of(self)
        if extra is not None and extra.backward is not BUILT_IN:
            return extra.backward
        return self._pull

    @_backward.setter
    def _backward(self, function):
        global closures
        closures = True
        custom(self).backward = function

    def _pull(self):
        """Add to the operands' grads the local derivatives times this Value's grad: one step of the sweep."""
        if tape.recordings:
            refuse(self, "_backward()")
        tape.pull_at(self.index)

    def backward(self):
        """Set this Value's grad to 1 and add to the grad of every Value it was computed from its derivative by that one.

        Gradients accumulate, over calls too: set them to 0 where they should not. The derivatives are those at the
        current `data` of all Values involved. A node whose own grad is exactly 0 contributes exactly 0.

        >>> x = Value(3.0)
        >>> (x * x * x).backward()
        >>> x.grad
        27.0
        """
        if tape.recordings:
            refuse(self, "backward()")
        need_node(self)
        tape.sweep(self.index)

    # ---- copies ----

    def __copy__(self):
        """A Value of its own with the same number, grad, operands and attributes."""
        from tapegrad.copies import copied

        return copied(self)

    def __deepcopy__(self, dict memo not None):
        """A copy of the whole graph below this Value; what has been copied before is found in `memo`."""
        from tapegrad.copies import deeply_copied

        return deeply_copied(self, memo)

    def __reduce_ex__(self, protocol):
        """For pickle, without recursion: a leaf by itself; any other Value with the graph below it.

        Leaves are objects of their own in the pickle, so that what shares them still does.
        """
        from tapegrad.copies import reduced

        return reduced(self)

    def __setstate__(self, state):
        from tapegrad.copies import set_attributes

        set_attributes(self, state)

    def __repr__(self):
        return f"Value(data={shown(self)}, grad={shown_grad(self)})"

    def __format__(self, str spec):
        return format(shown(self), spec) if spec else str(self)

    def __hash__(self):
        return <Py_hash_t>(<size_t><PyObject *>self >> 4)

    def __richcmp__(self, other, int op):
        if op == Py_EQ or op == Py_NE:
            return NotImplemented           # identity, as for any object
        if tape.recordings:
            r = tape.recorder()
            if r is not None:
                return r.compare(self, other, op)
            refuse(self, "a comparison")
        if isinstance(other, Value):
            other = (<Value>other).data     # refused as well, in a thread of a recorded function's
        elif not PyFloat_CheckExact(other) and not PyLong_Check(other) and not PyFloat_Check(other):
            other = real(other)
            if other is None:
                return NotImplemented
        return PyObject_RichCompare(self.data, other, op)

    def __float__(self):
        raise TypeError("a Value is not a float, which would drop its derivative: use v.data for the number, or a "
                        "function that knows Values (tapegrad.sin(v) or v.sin() in place of math.sin(v))")

    # ---- operators ----

    def __add__(left, right):
        return symmetric(left, right, ADD)

    def __mul__(left, right):
        return symmetric(left, right, MUL)

    def __sub__(left, right):
        cdef double x = 0.0
        cdef int kind = 0
        if isinstance(left, Value):
            if isinstance(right, Value):
                if ours(left) and ours(right):
                    return subtract(<Value>left, <Value>right)
                if tape.recordings and records():
                    return of_two(SUB, left, right)
                return left + (-right)
            if not as_number(right, &x, &kind):
                return NotImplemented
            if type(left) is Number and tape.recordings and records():
                return of_two(SUB, left, right)
            negate(&x, &kind)
            return with_leaf(<Value>left, x, kind, ADD) if ours(left) else left + number(x, kind)
        if not as_number(left, &x, &kind):
            return NotImplemented
        if type(right) is Number and tape.recordings and records():
            return of_two(SUB, left, right)
        return number_minus(x, kind, <Value>right) if ours(right) else number(x, kind) + (-right)

    def __truediv__(left, right):
        cdef double x = 0.0
        cdef int kind = 0
        if isinstance(left, Value):
            if isinstance(right, Value):
                if ours(left) and ours(right):
                    return divide(<Value>left, <Value>right)
                return left * right ** -1
            if not as_number(right, &x, &kind):
                return NotImplemented
            if tape.recordings and records():
                return attempted(DIV, <Value>left, None, x, kind, False)
            x = evaluate(POWN, x, unknown(-1.0), kind, INT, &kind)
            return with_leaf(<Value>left, x, kind, MUL) if ours(left) else left * number(x, kind)
        if not as_number(left, &x, &kind):
            return NotImplemented
        return number_over(x, kind, <Value>right) if ours(right) else number(x, kind) * right ** -1

    def __pow__(left, right, modulus):
        cdef double x = 0.0
        cdef int kind = 0
        if modulus is not None:
            raise TypeError("pow() of a Value takes no third argument")
        if isinstance(left, Value):
            if isinstance(right, Value):
                return binary(<Value>left, <Value>right, POW)
            if not as_number(right, &x, &kind):
                return NotImplemented
            return with_leaf(<Value>left, x, kind, POWN)
        if not as_number(left, &x, &kind):
            return NotImplemented
        return from_leaf(x, kind, <Value>right, POW)

    def __neg__(self):
        return with_leaf(self, -1.0, INT, MUL) if ours(self) else self * -1

    def __pos__(self):
        return self

    def __abs__(self):
        return unary(self, code("abs"))

    def __round__(self, ndigits=None):
        return unary(self, code("round")) if ndigits is None else rounded(self, ndigits)

    def __floor__(self):
        return unary(self, code("floor"))

    def __ceil__(self):
        return unary(self, code("ceil"))

    # ---- operations with a name ----

    def relu(self):
        """max(0, self), with derivative 0 at 0.

        >>> Value(-2.5).relu()
        Value(data=0, grad=0)
        """
        return unary(self, code("ReLU"))

    def exp(self):
        """e raised to this power.
        """
        return unary(self, code("exp"))

    def log(self):
        """The natural logarithm.
        """
        return unary(self, code("log"))

    def tanh(self):
        """The hyperbolic tangent.
        """
        return unary(self, code("tanh"))

    def sigmoid(self):
        """1 / (1 + exp(-self)), without overflow at any size.
        """
        return unary(self, code("sigmoid"))

    def sqrt(self):
        """The square root; its derivative at 0 is inf.
        """
        return unary(self, code("sqrt"))

    def sin(self):
        """The sine (radians).
        """
        return unary(self, code("sin"))

    def cos(self):
        """The cosine (radians).
        """
        return unary(self, code("cos"))

    def tan(self):
        """The tangent (radians).
        """
        return unary(self, code("tan"))

    def asin(self):
        """The arc sine, in radians.
        """
        return unary(self, code("asin"))

    def acos(self):
        """The arc cosine, in radians.
        """
        return unary(self, code("acos"))

    def atan(self):
        """The arc tangent, in radians.
        """
        return unary(self, code("atan"))

    def sinh(self):
        """The hyperbolic sine.
        """
        return unary(self, code("sinh"))

    def cosh(self):
        """The hyperbolic cosine.
        """
        return unary(self, code("cosh"))

    def log1p(self):
        """log(1 + self), exact near 0.
        """
        return unary(self, code("log1p"))

    def expm1(self):
        """exp(self) - 1, exact near 0.
        """
        return unary(self, code("expm1"))

    def log2(self):
        """The logarithm to base 2.
        """
        return unary(self, code("log2"))

    def log10(self):
        """The logarithm to base 10.
        """
        return unary(self, code("log10"))

    def erf(self):
        """The error function.
        """
        return unary(self, code("erf"))

    def erfc(self):
        """1 - erf(self), exact far out.
        """
        return unary(self, code("erfc"))

    def softplus(self):
        """log(1 + exp(self)), without overflow at any size.
        """
        return unary(self, code("softplus"))

    def silu(self):
        """self * sigmoid(self), also known as swish.
        """
        return unary(self, code("silu"))

    def gelu(self):
        """self * Phi(self), Phi the normal distribution function (Hendrycks and Gimpel 2016, the exact form).
        """
        return unary(self, code("gelu"))

    def floor(self):
        """The largest int not above; derivative 0.
        """
        return unary(self, code("floor"))

    def ceil(self):
        """The smallest int not below; derivative 0.
        """
        return unary(self, code("ceil"))

    def sign(self):
        """-1, 0 or 1; derivative 0.
        """
        return unary(self, code("sign"))

    def conjugate(self):
        """Itself, as of any real number: numpy's `std` and `var` ask for it.
        """
        return self

    def atan2(self, x):
        """The angle of the point (x, self), in radians: self is y.
        """
        return named(self, x, code("atan2"))

    def hypot(self, other):
        """sqrt(self**2 + other**2); derivative (0, 0) at (0, 0).
        """
        return named(self, other, code("hypot"))

    def logaddexp(self, other):
        """log(exp(self) + exp(other)), without overflow at any size.
        """
        return named(self, other, code("logaddexp"))

    def maximum(self, other):
        """The larger of the two; where they tie the derivative is 1/2 for each. nan if either is nan.
        """
        return named(self, other, code("maximum"))

    def minimum(self, other):
        """The smaller of the two; where they tie the derivative is 1/2 for each. nan if either is nan.
        """
        return named(self, other, code("minimum"))

    def leaky_relu(self, negative_slope=0.01):
        """self where it is positive, else negative_slope * self.
        """
        return with_parameter(self, negative_slope, "negative_slope", code("leaky_relu"))

    def elu(self, alpha=1.0):
        """self where it is positive, else alpha * (exp(self) - 1).
        """
        return with_parameter(self, alpha, "alpha", code("elu"))


cdef class Number(Value):
    """A number of a function that is being recorded: what it is made of is followed, what Python asks of it a guard.

    Its operators are those of Value and, for what a plain number has besides, those of answers.py.
    """

    @property
    def __class__(self):
        """float, int or bool, as isinstance, singledispatch and `match` would see it."""
        return _kind_of(self)


cdef class Outlived(Value):
    """A Number whose recording is over: whatever is asked of it is an error."""


# ---- sums and products, built without a Python object a step ----

cdef inline int accumulate(Value total, object item, int op) except -1:
    """total = op(total, item) in place, where item is exactly a Value or a number; 0 if it is neither."""
    cdef double x = 0.0
    cdef int kind = 0
    cdef int32_t leaf
    if type(item) is Value:
        room(tape, 1)
        move_to(total, push_op(op, total.index, (<Value>item).index))
        if handle(item).state != NULL:
            keep(total, anchor(<Value>item))
        return 1
    if isinstance(item, Value) or not as_number(item, &x, &kind):
        return 0
    room(tape, 2)
    leaf = push_leaf(tape, x, kind)
    move_to(total, push_op(op, total.index, leaf))
    return 1


cdef object fold(object iterable, object total, int op):
    cdef bint private = False               # total is a Value that nobody else has seen
    for item in iterable:                   # making one may run the program's code, which may assign to the class
        if private and (same_add() if op == ADD else same_multiply()) and accumulate(<Value>total, item, op):
            continue
        private = (same_add() if op == ADD else same_multiply()) and only_ours(total, item)
        # not Cython's + and *, whose float * int loses the sign of a zero (seen with Cython 3.3.1)
        total = PyNumber_Add(total, item) if op == ADD else PyNumber_Multiply(total, item)
    return total


cdef inline bint only_ours(object x, object y) noexcept:
    """Whether an operator on x and y makes a new Value: one is exactly a Value, the other that or a plain number."""
    if type(x) is Value:
        return type(y) is Value or PyFloat_Check(y) or PyLong_Check(y)
    return type(y) is Value and (PyFloat_CheckExact(x) or PyLong_CheckExact(x))


cdef inline int accumulate_product(Value total, object x, object y) except -1:
    """total = total + x * y in place, where x and y are exactly Values or numbers and not both are numbers."""
    cdef double z = 0.0
    cdef int kind = 0
    cdef int32_t product
    cdef Value v
    if type(x) is Value and type(y) is Value:
        room(tape, 2)
        product = push_op(MUL, (<Value>x).index, (<Value>y).index)
        move_to(total, push_op(ADD, total.index, product))
        if handle(x).state != NULL or handle(y).state != NULL:
            keep(total, both(anchor(<Value>x), anchor(<Value>y)))
        return 1
    if type(x) is Value:
        v = x
        x = y
    elif type(y) is Value:
        v = y
    else:
        return 0
    if isinstance(x, Value) or not as_number(x, &z, &kind):
        return 0
    room(tape, 3)
    product = push_leaf(tape, z, kind)
    product = push_op(MUL, v.index, product)
    move_to(total, push_op(ADD, total.index, product))
    if handle(v).state != NULL:
        keep(total, anchor(v))
    return 1


def sum(iterable, start=0):
    """The graph of `for x in iterable: start = start + x`, built in one go: same nodes, same bits.

    >>> sum([Value(1.0), 2.0, Value(3.0)])
    Value(data=6.0, grad=0)
    """
    return fold(iterable, start, ADD)


def prod(iterable, start=1):
    """The graph of `for x in iterable: start = start * x`, built in one go: same nodes, same bits.

    >>> prod([Value(2.0), 3.0])
    Value(data=6.0, grad=0)
    """
    return fold(iterable, start, MUL)


def dot(xs, ys, start=0):
    """The graph of `for x, y in zip(xs, ys): start = start + x * y`, built in one go: same nodes, same bits. As with zip,
    the shorter one ends it; in a recorded function a shorter one is an error. A matrix is one, too: use @.

    >>> dot([Value(1.0), Value(2.0)], [3.0, 4.0])
    Value(data=11.0, grad=0)
    """
    cdef bint private = False, uneven = False      # uneven: there is an x and no y
    cdef Py_ssize_t k = 0
    cdef object total = start
    cdef bint is_list_x = type(xs) is list, is_tuple_x = type(xs) is tuple
    cdef bint is_list_y = type(ys) is list, is_tuple_y = type(ys) is tuple
    need_vector(xs)
    need_vector(ys)
    if not is_list_x and not is_tuple_x:
        xs = iter(xs)
    if not is_list_y and not is_tuple_y:
        ys = iter(ys)
    while True:
        if is_list_x:
            if k >= len(<list>xs):
                break
            x = (<list>xs)[k]
        elif is_tuple_x:
            if k >= len(<tuple>xs):
                break
            x = (<tuple>xs)[k]
        else:
            x = next(xs, END)
            if x is END:
                break
        if is_list_y:
            if k >= len(<list>ys):
                uneven = True
                break
            y = (<list>ys)[k]
        elif is_tuple_y:
            if k >= len(<tuple>ys):
                uneven = True
                break
            y = (<tuple>ys)[k]
        else:
            y = next(ys, END)
            if y is END:
                uneven = True
                break
        k += 1
        if private and same_add() and same_multiply() and accumulate_product(<Value>total, x, y):
            continue
        if (type(x) is list or type(y) is list) and tape.recordings and tape.recorder() is not None:
            raise TypeError("dot takes two vectors, and there are lists in these: use numpy.asarray(xs) @ ys")
        product = PyNumber_Multiply(x, y)
        if not isinstance(product, Value) and type(product) is not float:
            need_no_array(product)
        private = same_add() and type(product) is Value and only_ours(total, product)
        total = PyNumber_Add(total, product)
    if tape.recordings and tape.recorder() is not None:
        if uneven or has_more(xs if is_list_x or is_tuple_x else None, k) or has_more(ys, k):
            raise ValueError(f"dot: in a recorded function both vectors must be of one length, and one ends after {k}")
    return total


cdef int need_vector(object xs) except -1:
    """Raise a TypeError if this is an array, and not of one dimension."""
    if type(xs) is not list and type(xs) is not tuple and getattr(xs, "ndim", 1) != 1:
        shape = getattr(xs, "shape", None)
        raise TypeError(f"dot takes two vectors, and this is an array of shape {shape}: use xs @ ys")
    return 0


cdef int need_no_array(object product) except -1:
    shape = getattr(product, "shape", ())
    if shape:
        raise TypeError(f"dot takes two vectors, and these are of arrays of shape {shape}: use xs @ ys")
    return 0


cdef bint has_more(object xs, Py_ssize_t k) except -1:
    """Whether there is more in it than k; an iterator has given k."""
    if xs is None:
        return False
    if type(xs) is list or type(xs) is tuple:
        return len(xs) > k
    return next(xs, END) is not END


cdef object END = object()
cdef object DATA = "data"
cdef object GRAD = "grad"


# ---- the type, finished: what Cython has no syntax for ----

cdef int finish() except -1:
    global now, original_add, original_multiply, original_negative, original_power
    cdef PyTypeObject *type = type_of(Value)
    if <size_t>type.tp_basicsize != sizeof(Handle):
        raise ImportError("tapegrad.value: the layout of Value is not that of handle.h")
    tape.break_cycles = break_cycles
    tape.settle = settle_quietly
    now = number_methods(type)
    original_add, original_multiply = now.nb_add, now.nb_multiply
    original_negative, original_power = now.nb_negative, now.nb_power
    tape.outlive = outlive
    for any_type in (Value, Number, Outlived):
        type = type_of(any_type)
        set_offsets(type)
        type.tp_new = <newfunc>new
        type.tp_dealloc = <destructor>dealloc
        type.tp_traverse = <traverseproc>traverse
        type.tp_clear = <inquiry>clear
    # the names under which numpy looks for these in the elements of an object array
    for alias, name in {"arcsin": "asin", "arccos": "acos", "arctan": "atan", "arctan2": "atan2", "fabs": "__abs__",
                        "rint": "__round__"}.items():
        setattr(Value, alias, getattr(Value, name))
    Value.label = ""
    return 0


finish()

# cython: language_level=3
"""The graph of a recorded function: operations of ops.h in flat arrays, operands before what is made of them.

A graph is what differentiating and optimising work on; it only ever grows. Node numbers stay what they are.
"""
from libc.stdint cimport int32_t, uint8_t


ctypedef struct Nodes:              # numbers of nodes, taken from a list and checked: see Graph.take
    int32_t *at
    Py_ssize_t count


cdef int breathe() except -1


cdef class Graph:
    cdef uint8_t *op                # operation code; LEAF is a constant, CUSTOM an input
    cdef int32_t *a                 # operands; of an input, a is which one it is
    cdef int32_t *b
    cdef int32_t *c
    cdef double *value              # of a constant
    cdef readonly int32_t size
    cdef int32_t allocated
    cdef readonly int32_t inputs    # how many inputs there are
    cdef list derived_from          # for every node that of the recording it derives from; None where nobody asked
    cdef bint sealed                # part of a program: nothing is added any more
    cdef int32_t origin             # to be noted for the nodes that are made now

    cdef int grow(self, int32_t count) except -1
    cdef int32_t add(self, int op, int32_t a, int32_t b=*, int32_t c=*) except -1
    cdef int32_t constant(self, double x) except -1
    cdef int32_t input(self) except -1
    cdef int32_t apply_rule(self, int op, int which, int32_t a, int32_t b, int32_t y) except -1
    cdef int32_t chain(self, int32_t i, int which, int product, int32_t t) except -1
    cdef int accumulate(self, int32_t *sums, int32_t i, int32_t term) except -1
    cdef int pull(self, int32_t i, int32_t g, int32_t *adjoint, const uint8_t *active) except -1
    cdef int32_t push_tangent(self, int32_t i, const int32_t *tangent) except -1
    cdef void depends(self, uint8_t *active, int32_t first, int32_t count) noexcept nogil
    cdef void need_operands(self, uint8_t *needed, int32_t count) noexcept nogil
    cdef Graph like(self)
    cdef int need(self, object node) except -1
    cdef int take(self, list nodes, int32_t below, Nodes *taken) except -1
    cdef tuple optimise(self, list outputs)
    cdef tuple fuse(self, list outputs)
    cdef void count_uses(self, int32_t i, int32_t *uses) noexcept nogil
    cdef int32_t absorbed(self, int32_t i, const int32_t *uses) noexcept nogil

# cython: language_level=3
"""`Value`: a number that remembers how it was computed."""
from cpython.object cimport PyObject
from libc.stdint cimport int32_t

from tapegrad.tape cimport Extra


cdef class Value:
    # the layout of `Handle` (handle.h), through which the fields are used: they may be NULL
    cdef int32_t index
    cdef object state
    cdef PyObject *attrs
    cdef PyObject *weakrefs


cdef class Number(Value):
    pass


cdef class Outlived(Value):
    pass


# for copies.pyx
cdef Extra extra_of(Value v)
cdef Extra custom(Value v)
cdef object anchor(Value v)
cdef int keep(Value v, object anchors) except -1
cdef void move_to(Value v, int32_t i) noexcept
cdef int operation(Value v) noexcept
cdef tuple operands(Value v)
cdef tuple children_of(Value v)
cdef object number(double y, int kind)
cdef int need_values(tuple values, str what) except -1
cdef int need_number(object x, str what, double *y, int *kind) except -1
cdef tuple need_numbers(object values, str what)

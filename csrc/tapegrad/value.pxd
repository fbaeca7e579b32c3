# cython: language_level=3
"""`Value`: a number that remembers how it was computed."""
from cpython.object cimport PyObject
from libc.stdint cimport int32_t


cdef class Value:
    # the layout of `Handle` (handle.h), through which the fields are used: they may be NULL
    cdef int32_t index
    cdef object state
    cdef PyObject *attrs
    cdef PyObject *weakrefs

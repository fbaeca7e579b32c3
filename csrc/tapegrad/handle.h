/* The memory of a Python object that stands for a node: the layout of `Value` (value.pxd), checked at import. */
#ifndef TAPEGRAD_HANDLE_H
#define TAPEGRAD_HANDLE_H

#include <Python.h>
#include <stdint.h>

typedef struct {
    PyObject_HEAD
    int32_t index;          /* the node's index; 0 for none, as in memory fresh from an allocator */
    PyObject *state;        /* NULL for nearly all; see tape.pxd */
    PyObject *attrs;        /* its __dict__; NULL until the program sets an attribute of its own */
    PyObject *weakrefs;
} TgHandle;

#endif

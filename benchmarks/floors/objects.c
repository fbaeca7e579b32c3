/* The least that an operation on objects can cost in CPython: a number in an object of its own, from a list of free
 * ones, that knows how to be added and multiplied, and nothing else. Floats cost less, as the interpreter has
 * instructions for them alone.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

typedef struct {
    PyObject_HEAD
    double number;
} Number;

static PyTypeObject Number_Type;
static Number *unused[256];
static int spare;

static PyObject *number(double x)
{
    Number *self = spare ? (Number *)PyObject_Init((PyObject *)unused[--spare], &Number_Type)
                         : PyObject_New(Number, &Number_Type);
    if (self != NULL)
        self->number = x;
    return (PyObject *)self;
}

static void number_free(PyObject *self)
{
    if (spare < 256)
        unused[spare++] = (Number *)self;
    else
        PyObject_Free(self);
}

#define OPERATION(name, operator)                                                                                      \
    static PyObject *name(PyObject *a, PyObject *b)                                                                    \
    {                                                                                                                  \
        if (Py_TYPE(a) != &Number_Type || Py_TYPE(b) != &Number_Type)                                                  \
            Py_RETURN_NOTIMPLEMENTED;                                                                                  \
        return number(((Number *)a)->number operator ((Number *)b)->number);                                           \
    }
OPERATION(number_add, +)
OPERATION(number_multiply, *)

static PyObject *number_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    double x;
    (void)type; (void)keywords;
    return PyArg_ParseTuple(args, "d", &x) ? number(x) : NULL;
}

static PyNumberMethods methods = {.nb_add = number_add, .nb_multiply = number_multiply};

static PyTypeObject Number_Type = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "objects.Number", .tp_basicsize = sizeof(Number), .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_new = number_new, .tp_dealloc = number_free, .tp_as_number = &methods,
};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, .m_name = "objects", .m_size = -1};

PyMODINIT_FUNC PyInit_objects(void)
{
    PyObject *made = PyType_Ready(&Number_Type) < 0 ? NULL : PyModule_Create(&module);
    if (made != NULL && PyModule_AddObjectRef(made, "Number", (PyObject *)&Number_Type) < 0)
        Py_CLEAR(made);
    return made;
}

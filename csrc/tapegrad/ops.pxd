# cython: language_level=3
"""What the Cython modules see of the table of operations in ops.h."""
from libc.stdint cimport int32_t, uint8_t


cdef extern from "ops.h" nogil:
    enum:                                   # kinds of number a double is shown as
        FLOAT "TG_FLOAT"
        INT "TG_INT"
        BOOL "TG_BOOL"
    enum:                                   # the operations that have syntax; named ones are found by `code`
        LEAF "TG_LEAF"
        CUSTOM "TG_CUSTOM"
        ADD "TG_ADD"
        MUL "TG_MUL"
        POW "TG_POW"
        POWN "TG_POWN"
        OP_COUNT "TG_OP_COUNT"
    enum:                                   # those that occur in recordings only
        NEG "TG_NEG"
        SUB "TG_SUB"
        DIV "TG_DIV"
        MOD "TG_MOD"
        FLOORDIV "TG_FLOORDIV"
        TRUNC "TG_TRUNC"
        COPY "TG_COPY"
        STOP "TG_STOP"
        NOT "TG_NOT"
        ZMUL "TG_ZMUL"
        TMUL "TG_TMUL"
        SELECT "TG_SELECT"
        MADD "TG_MADD"
        NMADD "TG_NMADD"
        ZMADD "TG_ZMADD"
        ALL_COUNT "TG_ALL_COUNT"
    enum:
        NULLARY "TG_NULLARY"
        UNARY "TG_UNARY"
        BINARY "TG_BINARY"
        PARAM "TG_PARAM"
        TERNARY "TG_TERNARY"
    enum:
        NONE "TG_NONE"
        POLE "TG_POLE"
        RANGE "TG_RANGE"
        POWER "TG_POWER"
        TOINT "TG_TOINT"
    double EXACT "TG_EXACT"
    struct Row:
        const char *label
        uint8_t operands
        uint8_t errors
        const char *da
        const char *db
    const Row *table "tg_table"

    int code "tg_code"(const char *label)
    double value_of "tg_value"(int op, double a, double b, int ka, int kb, int *kind)
    double value_and_kind "tg_value_and_kind"(int op, double a, double b, int ka, int kb, int *kind)
    double value_of_floats "tg_value_of_floats"(int op, double a, double b, double c)
    double unknown "tg_unknown"(double x)
    double value_of_sum "tg_value_ADD"(double a, double b)
    double value_of_product "tg_value_MUL"(double a, double b)
    void partials "tg_partials"(int op, double a, double b, double y, double *dy_da, double *dy_db)
    int partial_is_int "tg_partial_is_int"(int op, int which, int ka, int kb, double b)
    void accumulate "tg_accumulate"(double *grad, uint8_t *grad_kind, int32_t i, double d, double g, int is_int)
    void pull "tg_pull"(int op, const double *value, double *grad, uint8_t *grad_kind,
                        int32_t a, int32_t b, double y, double g)
    void pull_zero "tg_pull_zero"(int op, double *grad, uint8_t *grad_kind, int32_t a, int32_t b)
    void pull_careful "tg_pull_careful"(int op, const double *value, const uint8_t *kind, double *grad,
                                        uint8_t *grad_kind, int32_t a, int32_t b, double y, double g, int g_is_int)

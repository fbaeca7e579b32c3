/* The table of operations.
 *
 * One row is one operation, and everything tapegrad knows about it: how its value follows from its operands and what
 * its derivatives are. Eager arithmetic and the backward sweep are both generated from these rows.
 *
 *     OP(NAME, label, operands, errors, value, kind, d/da, d/db)
 *
 * label     what `Value._op` shows; for named methods also the name by which `tg_code` finds the row
 * operands  UNARY   y = f(a)
 *           BINARY  y = f(a, b)
 *           PARAM   y = f(a; b): b is a constant that is no child of the node; it sits in a leaf of its own
 * errors    what the eager engine raises when a finite-looking step is not finite, as Python's `math` does:
 *           NONE    nothing: inf and nan pass, as in plain float arithmetic
 *           POLE    ValueError where nan or inf comes out of arguments that were neither (log at 0)
 *           RANGE   ValueError where nan comes out, OverflowError where inf does (exp)
 *           POWER   ZeroDivisionError, ValueError, OverflowError: the rules of Python's `**` on floats
 *           TOINT   the rules of int(x): ValueError for nan, OverflowError for inf
 * value     the value, in terms of a and b
 * kind      the kind of number the value is shown as (see below), in terms of ka, kb, a, b and y
 * d/da d/db the local derivatives, in terms of a, b and the value y. At awkward points they are the minimum-norm
 *           subgradient: 0 for |x| at 0, 1/2 and 1/2 where maximum and minimum tie.
 *
 * A *kind* says how a double is shown: Python ints stay ints as long as they are below 2**53 in magnitude, where a
 * double is exact; from there on the number is a float, rounded as float(i) rounds.
 *
 * The expressions are compiled without contraction and without fast-math: the pure-Python reference computes the
 * same expressions in the same order and must agree to the last bit.
 */
#ifndef TAPEGRAD_OPS_H
#define TAPEGRAD_OPS_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#if defined(__GNUC__)
#define TG_INLINE inline __attribute__((always_inline))
#define TG_APART __attribute__((noinline, unused))
#else
#define TG_INLINE inline
#define TG_APART inline
#endif

enum { TG_FLOAT = 0, TG_INT = 1, TG_BOOL = 3 };                          /* kinds; bit 0 says "a Python int" */

#define TG_LN2 0.69314718055994530942
#define TG_LN10 2.30258509299404568402
#define TG_2_SQRTPI 1.12837916709551257390
#define TG_SQRT1_2 0.70710678118654752440
#define TG_1_SQRT2PI 0.39894228040143267794
#define TG_EXACT 9007199254740992.0                                      /* 2**53 */

static inline double tg_sigmoid(double x)
{
    if (x >= 0.0)
        return 1.0 / (1.0 + exp(-x));
    const double e = exp(x);
    return e / (1.0 + e);
}

/* a**n for integral a and n >= 0: exact while the result is below 2**53, libm's pow from there on. */
static inline double tg_int_power(double a, double n)
{
    const double y = pow(a, n);
    if (!(fabs(y) < TG_EXACT) || fabs(a) <= 1.0)
        return y;
    double p = 1.0;
    for (; n > 0.0; n -= 1.0)                                            /* |a| >= 2, so at most 53 rounds */
        p *= a;
    return p;
}

static inline double tg_logaddexp(double a, double b)
{
    if (a == b)
        return a + TG_LN2;                                               /* also inf and inf, whose difference is nan */
    const double d = a - b;
    return d > 0.0 ? a + log1p(exp(-d)) : b + log1p(exp(d));
}

/* a % b and a // b as Python's floats have them: the sign is that of b, and the quotient is an integer. Where b is 0, of
 * which Python makes an error, they are nan and a / b, as numpy has them. */
static inline double tg_modulo(double a, double b)
{
    const double r = fmod(a, b);
    return r == 0.0 ? copysign(0.0, b) : (r < 0.0) != (b < 0.0) ? r + b : r;
}

static inline double tg_floor_divide(double a, double b)
{
    if (b == 0.0)
        return a / b;
    const double r = fmod(a, b);
    const double q = (a - r) / b - (r != 0.0 && (r < 0.0) != (b < 0.0) ? 1.0 : 0.0);
    const double f = floor(q);
    return q == 0.0 ? copysign(0.0, a / b) : q - f > 0.5 ? f + 1.0 : f;
}

#define TG_OPS(OP)                                                                                                     \
    OP(ADD,        "+",          BINARY, NONE,  a + b,                       ka & kb & 1, 1.0, 1.0)                    \
    OP(MUL,        "*",          BINARY, NONE,  a * b,                       ka & kb & 1, b, a)                        \
    OP(POW,        "**",         BINARY, POWER, (ka & kb & 1) && b >= 0.0 ? tg_int_power(a, b) : pow(a, b),            \
                                                                             (ka & kb & 1) && b >= 0.0,                \
       b == 0.0 ? 0.0 : b * pow(a, b - 1.0),                                                                           \
       a == 0.0 && b >= 0.0 ? 0.0 : y * log(a))                                                                        \
    OP(POWN,       "**n",        PARAM,  POWER, (ka & kb & 1) && b >= 0.0 ? tg_int_power(a, b) : pow(a, b),            \
                                                                             (ka & kb & 1) && b >= 0.0,                \
       b == 0.0 ? 0.0 : b * pow(a, b - 1.0), 0.0)                                                                      \
    OP(RELU,       "ReLU",       UNARY,  NONE,  a < 0.0 ? 0.0 : a,           a < 0.0 ? TG_INT : ka, y > 0.0, 0.0)      \
    OP(EXP,        "exp",        UNARY,  RANGE, exp(a),                      0, y, 0.0)                                \
    OP(LOG,        "log",        UNARY,  POLE,  log(a),                      0, 1.0 / a, 0.0)                          \
    OP(TANH,       "tanh",       UNARY,  POLE,  tanh(a),                     0, 1.0 - y * y, 0.0)                      \
    OP(SIGMOID,    "sigmoid",    UNARY,  POLE,  tg_sigmoid(a),               0, y * (1.0 - y), 0.0)                    \
    OP(SQRT,       "sqrt",       UNARY,  POLE,  sqrt(a),                     0, 0.5 / y, 0.0)                          \
    OP(ABS,        "abs",        UNARY,  NONE,  fabs(a),                     ka & 1, (a > 0.0) - (a < 0.0), 0.0)       \
    OP(SIN,        "sin",        UNARY,  POLE,  sin(a),                      0, cos(a), 0.0)                           \
    OP(COS,        "cos",        UNARY,  POLE,  cos(a),                      0, -sin(a), 0.0)                          \
    OP(TAN,        "tan",        UNARY,  POLE,  tan(a),                      0, 1.0 + y * y, 0.0)                      \
    OP(ASIN,       "asin",       UNARY,  POLE,  asin(a),                     0, 1.0 / sqrt((1.0 - a) * (1.0 + a)), 0.0)  \
    OP(ACOS,       "acos",       UNARY,  POLE,  acos(a),                     0, -1.0 / sqrt((1.0 - a) * (1.0 + a)), 0.0) \
    OP(ATAN,       "atan",       UNARY,  POLE,  atan(a),                     0, 1.0 / (1.0 + a * a), 0.0)              \
    OP(ATAN2,      "atan2",      BINARY, POLE,  atan2(a, b),                 0,                                        \
       b / hypot(a, b) / hypot(a, b), -a / hypot(a, b) / hypot(a, b))                                                  \
    OP(SINH,       "sinh",       UNARY,  RANGE, sinh(a),                     0, cosh(a), 0.0)                          \
    OP(COSH,       "cosh",       UNARY,  RANGE, cosh(a),                     0, sinh(a), 0.0)                          \
    OP(LOG1P,      "log1p",      UNARY,  POLE,  log1p(a),                    0, 1.0 / (1.0 + a), 0.0)                  \
    OP(EXPM1,      "expm1",      UNARY,  RANGE, expm1(a),                    0, exp(a), 0.0)                           \
    OP(LOG2,       "log2",       UNARY,  POLE,  log2(a),                     0, 1.0 / (a * TG_LN2), 0.0)               \
    OP(LOG10,      "log10",      UNARY,  POLE,  log10(a),                    0, 1.0 / (a * TG_LN10), 0.0)              \
    OP(ERF,        "erf",        UNARY,  POLE,  erf(a),                      0, TG_2_SQRTPI * exp(-(a * a)), 0.0)      \
    OP(ERFC,       "erfc",       UNARY,  POLE,  erfc(a),                     0, -TG_2_SQRTPI * exp(-(a * a)), 0.0)     \
    OP(HYPOT,      "hypot",      BINARY, NONE,  hypot(a, b),                 0,                                        \
       y == 0.0 ? 0.0 : a / y, y == 0.0 ? 0.0 : b / y)                                                                 \
    OP(LOGADDEXP,  "logaddexp",  BINARY, NONE,  tg_logaddexp(a, b),          0,                                        \
       a == b ? 0.5 : tg_sigmoid(a - b), a == b ? 0.5 : tg_sigmoid(b - a))                                             \
    OP(SOFTPLUS,   "softplus",   UNARY,  NONE,  (a > 0.0 ? a : 0.0) + log1p(exp(-fabs(a))), 0, tg_sigmoid(a), 0.0)     \
    OP(LEAKY_RELU, "leaky_relu", PARAM,  NONE,  a > 0.0 ? a : b * a,         a > 0.0 ? ka : ka & kb & 1,               \
       a > 0.0 ? 1.0 : b, 0.0)                                                                                         \
    OP(ELU,        "elu",        PARAM,  NONE,  a > 0.0 ? a : b * expm1(a),  a > 0.0 ? ka : 0,                         \
       a > 0.0 ? 1.0 : b * exp(a), 0.0)                                                                                \
    OP(SILU,       "silu",       UNARY,  NONE,  a * tg_sigmoid(a),           0,                                        \
       tg_sigmoid(a) * (1.0 + a * (1.0 - tg_sigmoid(a))), 0.0)                                                         \
    OP(GELU,       "gelu",       UNARY,  NONE,  0.5 * a * erfc(-a * TG_SQRT1_2), 0,                                    \
       0.5 * erfc(-a * TG_SQRT1_2) + a * (TG_1_SQRT2PI * exp(-0.5 * (a * a))), 0.0)                                    \
    OP(MAXIMUM,    "maximum",    BINARY, NONE,  a >= b || a != a ? a : b,    a >= b || a != a ? ka : kb,               \
       (a > b) + 0.5 * (a == b), (b > a) + 0.5 * (a == b))                                                             \
    OP(MINIMUM,    "minimum",    BINARY, NONE,  a <= b || a != a ? a : b,    a <= b || a != a ? ka : kb,               \
       (a < b) + 0.5 * (a == b), (b < a) + 0.5 * (a == b))                                                             \
    OP(FLOOR,      "floor",      UNARY,  TOINT, floor(a),                    TG_INT, 0.0, 0.0)                         \
    OP(CEIL,       "ceil",       UNARY,  TOINT, ceil(a),                     TG_INT, 0.0, 0.0)                         \
    OP(ROUND,      "round",      UNARY,  TOINT, nearbyint(a),                TG_INT, 0.0, 0.0)                         \
    OP(SIGN,       "sign",       UNARY,  NONE,  a > 0.0 ? 1.0 : a < 0.0 ? -1.0 : a + 0.0, ka & 1, 0.0, 0.0)

/* Operations that occur in recordings only: what derivatives are made of, and what a comparison of recorded numbers
 * becomes. Same columns. ZMUL(d, g) is a local derivative times an adjoint, where a zero adjoint wins; TMUL(d, t) is one
 * times a tangent, where a zero of either wins. */
#define TG_RECORDED_OPS(OP)                                                                                            \
    OP(NEG,        "neg",        UNARY,  NONE,  -a,                          ka & 1, -1.0, 0.0)                        \
    OP(SUB,        "-",          BINARY, NONE,  a - b,                       ka & kb & 1, 1.0, -1.0)                   \
    OP(DIV,        "/",          BINARY, NONE,  a / b,                       0, 1.0 / b, -y / b)                       \
    OP(MOD,        "%",          BINARY, NONE,  tg_modulo(a, b),             ka & kb & 1, 1.0, -tg_floor_divide(a, b)) \
    OP(FLOORDIV,   "//",         BINARY, NONE,  tg_floor_divide(a, b),       ka & kb & 1, 0.0, 0.0)                    \
    OP(TRUNC,      "trunc",      UNARY,  NONE,  trunc(a),                    TG_INT, 0.0, 0.0)                         \
    OP(COPY,       "copy",       UNARY,  NONE,  a,                           ka, 1.0, 0.0)                             \
    OP(STOP,       "stop_gradient", UNARY, NONE, a,                          ka, 0.0, 0.0)                             \
    OP(LT,         "<",          BINARY, NONE,  a < b,                       TG_BOOL, 0.0, 0.0)                        \
    OP(LE,         "<=",         BINARY, NONE,  a <= b,                      TG_BOOL, 0.0, 0.0)                        \
    OP(GT,         ">",          BINARY, NONE,  a > b,                       TG_BOOL, 0.0, 0.0)                        \
    OP(GE,         ">=",         BINARY, NONE,  a >= b,                      TG_BOOL, 0.0, 0.0)                        \
    OP(EQ,         "==",         BINARY, NONE,  a == b,                      TG_BOOL, 0.0, 0.0)                        \
    OP(NE,         "!=",         BINARY, NONE,  a != b,                      TG_BOOL, 0.0, 0.0)                        \
    OP(AND,        "and",        BINARY, NONE,  a != 0.0 && b != 0.0,        TG_BOOL, 0.0, 0.0)                        \
    OP(OR,         "or",         BINARY, NONE,  a != 0.0 || b != 0.0,        TG_BOOL, 0.0, 0.0)                        \
    OP(NOT,        "not",        UNARY,  NONE,  a == 0.0,                    TG_BOOL, 0.0, 0.0)                        \
    OP(ZMUL,       "zmul",       BINARY, NONE,  b == 0.0 ? 0.0 : a * b,      0, b, a)                                  \
    OP(TMUL,       "tmul",       BINARY, NONE,  a == 0.0 || b == 0.0 ? 0.0 : a * b, 0, b, a)

/* And of three operands: name, label, value in terms of a, b and c. The last three are what optimising makes of ADD and
 * SUB with a product; both roundings stay. */
#define TG_TERNARY_OPS(OP)                                                                                             \
    OP(SELECT,     "select",     a != 0.0 ? b : c)                                                                     \
    OP(MADD,       "madd",       a + b * c)                                                                            \
    OP(NMADD,      "nmadd",      a - b * c)                                                                            \
    OP(ZMADD,      "zmadd",      a + (c == 0.0 ? 0.0 : b * c))

/* ---- what is generated from the table ---- */

/* LEAF has no operands; CUSTOM is a node whose children and derivative are the program's own. In a recording LEAF is a
 * constant and CUSTOM an input. */
#define TG_ENUM(NAME, label, operands, errors, value, kind, da, db) TG_##NAME,
#define TG_ENUM3(NAME, label, value) TG_##NAME,
enum { TG_LEAF, TG_CUSTOM, TG_OPS(TG_ENUM) TG_OP_COUNT,
       TG_RECORDED_START = TG_OP_COUNT - 1, TG_RECORDED_OPS(TG_ENUM) TG_TERNARY_OPS(TG_ENUM3) TG_ALL_COUNT };
#undef TG_ENUM
#undef TG_ENUM3

enum { TG_NULLARY, TG_UNARY, TG_BINARY, TG_PARAM, TG_TERNARY };
enum { TG_NONE, TG_POLE, TG_RANGE, TG_POWER, TG_TOINT };

/* The derivatives are there as text too: recordings are differentiated by reading them (see rules.py). */
#define TG_TEXT(expression) TG_TEXT_(expression)
#define TG_TEXT_(expression) #expression
#define TG_ROW(NAME, label, operands, errors, value, kind, da, db)                                                     \
    {label, TG_##operands, TG_##errors, TG_TEXT(da), TG_TEXT(db)},
#define TG_ROW3(NAME, label, value) {label, TG_TERNARY, TG_NONE, "0.0", "0.0"},
typedef struct { const char *label; uint8_t operands, errors; const char *da, *db; } Row;
static const Row tg_table[TG_ALL_COUNT] = {
    {"", TG_NULLARY, TG_NONE, "0.0", "0.0"}, {"", TG_NULLARY, TG_NONE, "0.0", "0.0"},
    TG_OPS(TG_ROW) TG_RECORDED_OPS(TG_ROW) TG_TERNARY_OPS(TG_ROW3)};
#undef TG_ROW
#undef TG_ROW3

/* The row of that label, or -1. With a literal label the compiler folds this to a constant. */
static inline int tg_code(const char *name)
{
#define TG_FIND(NAME, label, operands, errors, value, kind, da, db) if (strcmp(name, label) == 0) return TG_##NAME;
    TG_OPS(TG_FIND)
    TG_RECORDED_OPS(TG_FIND)
#undef TG_FIND
    return -1;
}

/* The value of an operation and, in *kind, how it is shown. */
static inline double tg_value(int op, double a, double b, int ka, int kb, int *kind_of_y)
{
    double y = 0.0;
    int k = 0;
    (void)b; (void)ka; (void)kb;
    switch (op) {
#define TG_CASE(NAME, label, operands, errors, value, kind, da, db) case TG_##NAME: y = (value); k = (kind); break;
    TG_OPS(TG_CASE)
#undef TG_CASE
    }
    if (k) {
        y += 0.0;                                                        /* an int has no -0 */
        if (!(fabs(y) < TG_EXACT))
            k = TG_FLOAT;
    }
    *kind_of_y = k;
    return y;
}

/* The value of any operation, those of recordings too, and the kind that it has where it is exact. */
static inline double tg_value_and_kind(int op, double a, double b, int ka, int kb, int *kind_of_y)
{
    double y = 0.0;
    int k = 0;
    (void)b; (void)ka; (void)kb;
    switch (op) {
#define TG_CASE(NAME, label, operands, errors, value, kind, da, db) case TG_##NAME: y = (value); k = (kind); break;
    TG_OPS(TG_CASE)
    TG_RECORDED_OPS(TG_CASE)
#undef TG_CASE
    }
    *kind_of_y = k;
    return y;
}

/* The value of any operation on floats, those of recordings too. */
static inline double tg_value_of_floats(int op, double a, double b, double c)
{
    const int ka = TG_FLOAT, kb = TG_FLOAT;
    (void)b; (void)c; (void)ka; (void)kb;
    switch (op) {
#define TG_CASE(NAME, label, operands, errors, value, kind, da, db) case TG_##NAME: return (value);
#define TG_CASE3(NAME, label, value) case TG_##NAME: return (value);
    TG_OPS(TG_CASE)
    TG_RECORDED_OPS(TG_CASE)
    TG_TERNARY_OPS(TG_CASE3)
#undef TG_CASE
#undef TG_CASE3
    }
    return 0.0;
}

/* x, of which the compiler knows nothing: it would make pow(a, -1.0) a division, whose last bit may be another. */
static inline double tg_unknown(double x)
{
#if defined(__GNUC__)
    __asm__("" : "+m"(x));
    return x;
#else
    volatile double y = x;
    return y;
#endif
}

/* tg_value_ADD and so on: the value of one operation on floats, for where it must be inlined. */
#define TG_CASE(NAME, label, operands, errors, value, kind, da, db)                                                    \
    static inline double tg_value_##NAME(double a, double b)                                                           \
    {                                                                                                                  \
        const int ka = TG_FLOAT, kb = TG_FLOAT;                                                                        \
        (void)a; (void)b; (void)ka; (void)kb;                                                                          \
        return (value);                                                                                                \
    }
TG_OPS(TG_CASE)
#undef TG_CASE

/* The local derivatives dy/da and dy/db. */
static inline void tg_partials(int op, double a, double b, double y, double *dy_da, double *dy_db)
{
    *dy_da = *dy_db = 0.0;
    (void)a; (void)b; (void)y;
    switch (op) {
#define TG_CASE(NAME, label, operands, errors, value, kind, da, db) case TG_##NAME: *dy_da = (da); *dy_db = (db); break;
    TG_OPS(TG_CASE)
#undef TG_CASE
    }
}

/* One step of the backward sweep through a node with adjoint g, for floats: grad += local derivative * g, first for a
 * and then for b. It is written out per row because one jump per node is what the sweep costs. */
static inline void tg_pull(int op, const double *restrict value, double *restrict grad, uint8_t *restrict grad_kind,
                           int32_t ia, int32_t ib, double y, double g)
{
/* A derivative that is 0 everywhere lets nothing through, whatever the adjoint is. */
#define TG_TIMES_G(D) (sizeof(#D) == sizeof("0.0") && (#D)[0] == '0' ? 0.0 : (D) * g)
#define TG_PULL_UNARY(DA, DB) { const double a = value[ia]; (void)a; (void)y; grad[ia] += TG_TIMES_G(DA); grad_kind[ia] = 0; }
#define TG_PULL_PARAM(DA, DB) { const double a = value[ia], b = value[ib]; (void)a; (void)b; (void)y;                  \
                                grad[ia] += (DA) * g; grad_kind[ia] = 0; }
#define TG_PULL_BINARY(DA, DB) { const double a = value[ia], b = value[ib]; (void)a; (void)b; (void)y;                 \
                                 grad[ia] += (DA) * g; grad_kind[ia] = 0; grad[ib] += (DB) * g; grad_kind[ib] = 0; }
#define TG_CASE(NAME, label, operands, errors, value, kind, da, db) case TG_##NAME: TG_PULL_##operands(da, db) break;
    switch (op) {
    TG_OPS(TG_CASE)
    }
#undef TG_CASE
#undef TG_PULL_UNARY
#undef TG_TIMES_G
#undef TG_PULL_PARAM
#undef TG_PULL_BINARY
}

/* Whether dy/da (which = 0) or dy/db (which = 1) is a Python int, given that the operands' kinds are: micrograd's four
 * operations keep ints, all others give floats. */
static inline int tg_partial_is_int(int op, int which, int ka, int kb, double b)
{
    switch (op) {
    case TG_ADD: case TG_RELU: return 1;
    case TG_MUL: return (which ? ka : kb) & 1;
    case TG_POWN: return (ka & kb & 1) && b >= 1.0;
    default: return 0;
    }
}

/* grad += d * g, where all three may be ints: so is the sum if they are and everything is exact. A zero g wins. */
static inline void tg_accumulate(double *grad, uint8_t *grad_kind, int32_t i, double d, double g, int is_int)
{
    double c = g == 0.0 ? 0.0 : d * g;
    is_int = is_int && fabs(d) < TG_EXACT && fabs(c) < TG_EXACT;         /* the product is a Python int */
    if (is_int)
        c += 0.0;                                                        /* an int has no -0 */
    const double sum = grad[i] + c;
    is_int = is_int && (grad_kind[i] & 1) && fabs(sum) < TG_EXACT;
    grad[i] = sum;
    grad_kind[i] = is_int ? TG_INT : TG_FLOAT;
}

/* The same step for a float adjoint that is exactly zero. A zero adjoint always wins: it contributes exactly 0, whatever
 * the local derivative is. */
static inline void tg_pull_zero(int op, double *grad, uint8_t *grad_kind, int32_t ia, int32_t ib)
{
    grad[ia] += 0.0;
    grad_kind[ia] = TG_FLOAT;
    if (tg_table[op].operands == TG_BINARY) {
        grad[ib] += 0.0;
        grad_kind[ib] = TG_FLOAT;
    }
}

/* The same step for an operation that the compiler knows, where it is inlined. */
static TG_INLINE void tg_pull_known(int op, const double *value, const uint8_t *kind, double *grad, uint8_t *grad_kind,
                                    int32_t ia, int32_t ib, double y, double g, int g_is_int)
{
    const int operands = tg_table[op].operands;
    const int ka = kind[ia], kb = kind[ib];
    const double b = value[ib];
    double d[2];
    tg_partials(op, value[ia], b, y, &d[0], &d[1]);
    for (int which = 0; which < (operands == TG_BINARY ? 2 : 1); which++)
        tg_accumulate(grad, grad_kind, which ? ib : ia, d[which], g, g_is_int && tg_partial_is_int(op, which, ka, kb, b));
}

/* The same step where the adjoint is an int, or zero. Sums and products of floats are what an int adjoint, the 1 that a
 * sweep begins with, goes through as a rule. */
static TG_APART void tg_pull_careful(int op, const double *value, const uint8_t *kind, double *grad, uint8_t *grad_kind,
                                     int32_t ia, int32_t ib, double y, double g, int g_is_int)
{
    if (op == TG_ADD)
        tg_pull_known(TG_ADD, value, kind, grad, grad_kind, ia, ib, y, g, g_is_int);
    else if (op == TG_MUL)
        tg_pull_known(TG_MUL, value, kind, grad, grad_kind, ia, ib, y, g, g_is_int);
    else
        tg_pull_known(op, value, kind, grad, grad_kind, ia, ib, y, g, g_is_int);
}

#endif

/* Recorded programs on blocks of samples: every operation is decoded once and done for `width` samples, its lanes.
 *
 * The loops over lanes are compiled once for any processor and once for AVX2 (kernels.h is included twice); which one is
 * used, and whether the C library has a vector math library (glibc's libmvec), is found out when the module is loaded.
 * Where there is none, or where the caller asks for it, functions are those of the scalar math library, and then lanes
 * give the same bits as single points do.
 */
#ifndef TAPEGRAD_LANES_H
#define TAPEGRAD_LANES_H

#include <stdlib.h>

#include "ops.h"

#if defined(__GNUC__) && defined(__x86_64__) && defined(__linux__)
#define TG_X86_KERNELS 1
#define TG_VECTOR_MATH 1
#elif defined(__GNUC__) && defined(__aarch64__) && defined(__linux__)
#define TG_VECTOR_MATH 1
#endif

/* One operation on lanes. Bit 0, 1 or 2 of `scalars` says that a, b or c is one of the scalars, the same for all lanes;
 * otherwise operands and result are slots: slot s are the numbers lanes[s * width] to lanes[s * width + width - 1]. */
typedef struct {
    uint8_t op, scalars;
    int32_t y, a, b, c;
} TgStep;

/* The vector math functions, by operation code; NULL where there is none. */
typedef struct { void *of[TG_ALL_COUNT]; } TgMath;

/* What an operation computes, as a function: generated from the table. */
#define TG_FUNCTION(NAME, label, operands, errors, value, kind, da, db)                                                \
    static inline double tg_do_##NAME(double a, double b, double c) { (void)a; (void)b; (void)c; return (value); }
#define TG_FUNCTION3(NAME, label, value)                                                                               \
    static inline double tg_do_##NAME(double a, double b, double c) { return (value); }
enum { ka = TG_FLOAT, kb = TG_FLOAT };                                   /* the kinds that the values ask for */
TG_OPS(TG_FUNCTION)
TG_RECORDED_OPS(TG_FUNCTION)
TG_TERNARY_OPS(TG_FUNCTION3)
#undef TG_FUNCTION
#undef TG_FUNCTION3

#define TG_MAX_WIDTH 64

#define TG_NAME(name) name##_plain
#define TG_VECTOR 2
#include "kernels.h"
#undef TG_NAME
#undef TG_VECTOR

#ifdef TG_X86_KERNELS
#pragma GCC push_options
#pragma GCC target("avx2")
#define TG_NAME(name) name##_avx2
#define TG_VECTOR 4
#include "kernels.h"
#undef TG_NAME
#undef TG_VECTOR
#pragma GCC pop_options
#endif

static TgMath tg_libm;                                                   /* all NULL: the scalar math library */
static TgMath tg_vector_math;
static int tg_has_avx2;
static int tg_has_vector_math;

#ifdef TG_VECTOR_MATH
#include <dlfcn.h>

static void tg_find_vector_math(void)
{
    static const struct { int op; const char *name; int operands; } functions[] = {
        {TG_EXP, "exp", 1}, {TG_LOG, "log", 1}, {TG_SIN, "sin", 1}, {TG_COS, "cos", 1}, {TG_TAN, "tan", 1},
        {TG_ASIN, "asin", 1}, {TG_ACOS, "acos", 1}, {TG_ATAN, "atan", 1}, {TG_SINH, "sinh", 1}, {TG_COSH, "cosh", 1},
        {TG_TANH, "tanh", 1}, {TG_LOG1P, "log1p", 1}, {TG_EXPM1, "expm1", 1}, {TG_LOG2, "log2", 1},
        {TG_LOG10, "log10", 1}, {TG_ERF, "erf", 1}, {TG_ERFC, "erfc", 1}, {TG_POW, "pow", 2}, {TG_ATAN2, "atan2", 2},
        {TG_HYPOT, "hypot", 2}};
    void *library = dlopen("libmvec.so.1", RTLD_NOW | RTLD_LOCAL);
    char name[32];
    if (library == NULL)
        return;
    for (size_t k = 0; k < sizeof functions / sizeof functions[0]; k++) {
#ifdef __x86_64__
        const char *prefix = tg_has_avx2 ? "_ZGVdN4" : "_ZGVbN2";
#else
        const char *prefix = "_ZGVnN2";
#endif
        snprintf(name, sizeof name, "%s%s_%s", prefix, functions[k].operands == 2 ? "vv" : "v", functions[k].name);
        tg_vector_math.of[functions[k].op] = dlsym(library, name);
        tg_has_vector_math |= tg_vector_math.of[functions[k].op] != NULL;
    }
    tg_vector_math.of[TG_POWN] = tg_vector_math.of[TG_POW];
}
#endif

/* Find out what this machine has; once, when the module is loaded. */
static void tg_find_kernels(int use_avx2, int use_vector_math)
{
#ifdef TG_X86_KERNELS
    tg_has_avx2 = use_avx2 && __builtin_cpu_supports("avx2");
#endif
#ifdef TG_VECTOR_MATH
    if (use_vector_math)
        tg_find_vector_math();
#endif
    (void)use_avx2; (void)use_vector_math;
}

/* Run a program's steps on one block of lanes. */
static void tg_run_lanes(const TgStep *steps, size_t count, double *lanes, const double *scalars, int width, int exact)
{
    const TgMath *math = exact ? &tg_libm : &tg_vector_math;
#ifdef TG_X86_KERNELS
    if (tg_has_avx2) {
        tg_steps_avx2(steps, count, lanes, scalars, width, math);
        return;
    }
#endif
    tg_steps_plain(steps, count, lanes, scalars, width, math);
}

/* ---- single points ---- */

/* A run of one operation: v[y + k] = op(v[a[k]], v[b[k]], v[c[k]]). No result is an operand of the same run. */
static void tg_run(int op, size_t count, const int32_t *a, const int32_t *b, const int32_t *c, double *v, double *restrict y)
{
    switch (op) {
#define TG_CASE(NAME, label, operands, errors, value, kind, da, db)                                                    \
    case TG_##NAME: TG_RUN_##operands(NAME) break;
#define TG_CASE3(NAME, label, value)                                                                                   \
    case TG_##NAME: for (size_t k = 0; k < count; k++) y[k] = tg_do_##NAME(v[a[k]], v[b[k]], v[c[k]]); break;
#define TG_RUN_UNARY(NAME) for (size_t k = 0; k < count; k++) y[k] = tg_do_##NAME(v[a[k]], 0.0, 0.0);
#define TG_RUN_BINARY(NAME) for (size_t k = 0; k < count; k++) y[k] = tg_do_##NAME(v[a[k]], v[b[k]], 0.0);
#define TG_RUN_PARAM(NAME) TG_RUN_BINARY(NAME)
    TG_OPS(TG_CASE)
    TG_RECORDED_OPS(TG_CASE)
    TG_TERNARY_OPS(TG_CASE3)
#undef TG_CASE
#undef TG_CASE3
#undef TG_RUN_UNARY
#undef TG_RUN_BINARY
#undef TG_RUN_PARAM
    }
}

#endif

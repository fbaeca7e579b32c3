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

/* What a build can have: AVX2 by gcc and clang (but on Windows gcc misaligns such vectors on the stack), and glibc's vector
 * functions. The build mode `scalar` has neither, as MSVC's builds and macOS on ARM have neither. */
#if defined(__GNUC__) && !defined(TAPEGRAD_SCALAR)
#if defined(__x86_64__) && !defined(_WIN32)
#define TG_X86_KERNELS 1
#endif
#if defined(__GLIBC__) && (defined(__x86_64__) || defined(__aarch64__))
#define TG_VECTOR_MATH 1
#endif
#endif

#ifdef __GNUC__
#define TG_PREFETCH(p) __builtin_prefetch(p)
#else
#define TG_PREFETCH(p) ((void)(p))
#endif

/* One operation on lanes. Bit 0, 1 or 2 of `scalars` says that a, b or c is one of the scalars, the same for all lanes;
 * otherwise operands and result are slots: slot s are the numbers lanes[s * width] to lanes[s * width + width - 1]. */
typedef struct {
    uint8_t op, scalars;
    int32_t y, a, b, c;
} TgStep;

/* The vector math functions, by operation code; NULL where there is none. */
typedef struct { void *of[TG_ALL_COUNT]; } TgMath;

typedef void (*TgKernel)(double *restrict y, const double *a, const double *b, const double *c, int width,
                         const TgMath *math);

/* The operations that have kernels for operands that are the same for all lanes. Other operations get such operands by
 * way of COPY. */
#define TG_WITH_SCALARS(UNARY, PARAM, BINARY, TERNARY)                                                                 \
    UNARY(COPY)                                                                                                        \
    PARAM(POWN) PARAM(LEAKY_RELU) PARAM(ELU)                                                                           \
    BINARY(ADD) BINARY(MUL) BINARY(SUB) BINARY(DIV) BINARY(ZMUL) BINARY(TMUL) BINARY(LT) BINARY(GT) BINARY(MAXIMUM)    \
    BINARY(MINIMUM)                                                                                                    \
    TERNARY(MADD) TERNARY(NMADD) TERNARY(ZMADD) TERNARY(SELECT)

/* The operations that a vector math library may have, of one and of two operands. */
#define TG_VECTOR_FUNCTIONS(F1, F2)                                                                                    \
    F1(EXP) F1(LOG) F1(SIN) F1(COS) F1(TAN) F1(ASIN) F1(ACOS) F1(ATAN) F1(SINH) F1(COSH) F1(TANH) F1(LOG1P) F1(EXPM1)  \
    F1(LOG2) F1(LOG10) F1(ERF) F1(ERFC) F2(POW) F2(ATAN2) F2(HYPOT)

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

enum {
#ifdef TG_X86_KERNELS
    TG_BUILT_AVX2 = 1,
#else
    TG_BUILT_AVX2 = 0,
#endif
#ifdef TG_VECTOR_MATH
    TG_BUILT_VECTOR_MATH = 1
#else
    TG_BUILT_VECTOR_MATH = 0
#endif
};

#ifdef TG_X86_KERNELS
#ifdef __clang__
#pragma clang attribute push(__attribute__((target("avx2"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2")
#endif
#define TG_NAME(name) name##_avx2
#define TG_VECTOR 4
#include "kernels.h"
#undef TG_NAME
#undef TG_VECTOR
#ifdef __clang__
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#endif

static TgMath tg_vector_math;
static TgKernel tg_kernels[2][TG_ALL_COUNT][8];                          /* [0] by the scalar math library */
static int tg_has_avx2;
static int tg_has_vector_math;

#ifdef TG_VECTOR_MATH
#include <dlfcn.h>
#include <stdio.h>

static void tg_find_function(void *library, int op, const char *label, int operands)
{
    char name[32];
#ifdef __x86_64__
    const char *prefix = tg_has_avx2 ? "_ZGVdN4" : "_ZGVbN2";
#else
    const char *prefix = "_ZGVnN2";
#endif
    snprintf(name, sizeof name, "%s%s_%s", prefix, operands == 2 ? "vv" : "v", label);
    tg_vector_math.of[op] = dlsym(library, name);
    tg_has_vector_math |= tg_vector_math.of[op] != NULL;
}

static void tg_find_vector_math(void)
{
    void *library = dlopen("libmvec.so.1", RTLD_NOW | RTLD_LOCAL);
    if (library == NULL)
        return;
#define TG_FIND1(NAME) tg_find_function(library, TG_##NAME, tg_table[TG_##NAME].label, 1);
#define TG_FIND2(NAME) tg_find_function(library, TG_##NAME, TG_##NAME == TG_POW ? "pow" : tg_table[TG_##NAME].label, 2);
    TG_VECTOR_FUNCTIONS(TG_FIND1, TG_FIND2)
#undef TG_FIND1
#undef TG_FIND2
}
#endif

/* Find out what this machine has; once, when the module is loaded. */
static void tg_find_kernels(int use_avx2, int use_vector_math)
{
    (void)use_avx2; (void)use_vector_math;
#ifdef TG_X86_KERNELS
    tg_has_avx2 = use_avx2 && __builtin_cpu_supports("avx2");
#endif
#ifdef TG_VECTOR_MATH
    if (use_vector_math)
        tg_find_vector_math();
#endif
    for (int exact = 0; exact < 2; exact++) {
#ifdef TG_X86_KERNELS
        if (tg_has_avx2) {
            tg_fill_kernels_avx2(tg_kernels[1 - exact]);
#ifdef TG_VECTOR_MATH
            if (!exact)
                tg_fill_vector_kernels_avx2(tg_kernels[1], &tg_vector_math);
#endif
            continue;
        }
#endif
        tg_fill_kernels_plain(tg_kernels[1 - exact]);
#ifdef TG_VECTOR_MATH
        if (!exact)
            tg_fill_vector_kernels_plain(tg_kernels[1], &tg_vector_math);
#endif
    }
}

/* Whether an operation takes such operands that are the same for all lanes. */
static int tg_takes_scalars(int op, int scalars)
{
    return tg_kernels[0][op][scalars] != NULL;
}

/* Run a program's steps on one block of lanes. */
static void tg_run_lanes(const TgStep *steps, size_t count, double *lanes, const double *scalars, int width, int exact)
{
    TgKernel (*const kernels)[8] = tg_kernels[!exact];
    for (const TgStep *s = steps; s < steps + count; s++) {
        const double *a = s->scalars & 1 ? scalars + s->a : lanes + (size_t)s->a * width;
        const double *b = s->scalars & 2 ? scalars + s->b : lanes + (size_t)s->b * width;
        const double *c = s->scalars & 4 ? scalars + s->c : lanes + (size_t)s->c * width;
        kernels[s->op][s->scalars](lanes + (size_t)s->y * width, a, b, c, width, &tg_vector_math);
    }
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

/* Operations of any codes, one after another: each may use the results of those before it. */
static void tg_run_mixed(const uint8_t *ops, size_t count, const int32_t *a, const int32_t *b, const int32_t *c, double *v,
                         double *y)
{
    for (size_t k = 0; k < count; k++) {
        switch (ops[k]) {
#define TG_CASE(NAME, label, operands, errors, value, kind, da, db) case TG_##NAME: TG_DO_##operands(NAME) break;
#define TG_CASE3(NAME, label, value) case TG_##NAME: y[k] = tg_do_##NAME(v[a[k]], v[b[k]], v[c[k]]); break;
#define TG_DO_UNARY(NAME) y[k] = tg_do_##NAME(v[a[k]], 0.0, 0.0);
#define TG_DO_BINARY(NAME) y[k] = tg_do_##NAME(v[a[k]], v[b[k]], 0.0);
#define TG_DO_PARAM(NAME) TG_DO_BINARY(NAME)
        TG_OPS(TG_CASE)
        TG_RECORDED_OPS(TG_CASE)
        TG_TERNARY_OPS(TG_CASE3)
#undef TG_CASE
#undef TG_CASE3
#undef TG_DO_UNARY
#undef TG_DO_BINARY
#undef TG_DO_PARAM
        }
    }
}

/* A run whose operands are each one number or follow one another: by the kernels of lanes, of the scalar math library. */
static void tg_run_evenly(int op, int scalars, size_t count, const int32_t *a, const int32_t *b, const int32_t *c,
                          double *v, double *restrict y)
{
    const size_t whole = count & ~(size_t)15;
    tg_kernels[0][op][scalars](y, v + a[0], v + b[0], v + c[0], (int)whole, &tg_vector_math);
    if (whole < count)
        tg_run(op, count - whole, a + whole, b + whole, c + whole, v, y + whole);
}

typedef struct { int32_t a, b, c, node; } TgOperands;

#define TG_DIFFER(member) if (x->member != y->member) return x->member < y->member ? -1 : 1;
static int tg_compare_bca(const void *p, const void *q)
{
    const TgOperands *x = p, *y = q;
    TG_DIFFER(b) TG_DIFFER(c) TG_DIFFER(a) TG_DIFFER(node)
    return 0;
}

static int tg_compare_cba(const void *p, const void *q)
{
    const TgOperands *x = p, *y = q;
    TG_DIFFER(c) TG_DIFFER(b) TG_DIFFER(a) TG_DIFFER(node)
    return 0;
}
#undef TG_DIFFER

static void tg_sort(TgOperands *operands, size_t count, int c_first)
{
    qsort(operands, count, sizeof *operands, c_first ? tg_compare_cba : tg_compare_bca);
}

#endif

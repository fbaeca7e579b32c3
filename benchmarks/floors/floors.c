/* What the processor and the memory can do, in loops that do nothing else. Compiled when it is measured, for AVX2 where
 * the processor has it and for its least common instructions elsewhere: what wheels of tapegrad may use. No operation is
 * contracted into another, as nothing in tapegrad is; the one loop that fuses is there for comparison.
 */
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __AVX2__
#define LANES 4
#else
#define LANES 2
#endif

typedef double vec __attribute__((vector_size(8 * LANES)));
typedef vec in_memory __attribute__((aligned(8), may_alias));

typedef void (*kernel)(double *restrict y, const double *a, const double *b, const double *c, size_t n);

#define KERNEL(name)                                                                                                   \
    static void k_##name(double *restrict y, const double *a, const double *b, const double *c, size_t n)
#define UNUSED (void)a; (void)b; (void)c; (void)y;
#define EACH for (size_t i = 0; i < n; i++)

/* ---- vectors, from memory to memory; of few numbers that is the first cache ---- */

KERNEL(copy) { UNUSED memcpy(y, a, n * sizeof *y); }
KERNEL(add) { UNUSED EACH y[i] = a[i] + b[i]; }
KERNEL(multiply) { UNUSED EACH y[i] = a[i] * b[i]; }
KERNEL(multiply_by_one) { UNUSED const double s = b[0]; EACH y[i] = a[i] * s; }
KERNEL(multiply_and_add) { UNUSED EACH y[i] = a[i] + b[i] * c[i]; }
KERNEL(divide) { UNUSED EACH y[i] = a[i] / b[i]; }
KERNEL(sqrt) { UNUSED EACH y[i] = sqrt(a[i]); }

#if defined(__FMA__) || defined(__aarch64__)
KERNEL(fused) { UNUSED EACH y[i] = __builtin_fma(b[i], c[i], a[i]); }
#else
#define k_fused NULL
#endif

/* Operands that are anywhere: c are the places, for each number one in a, one in a again and one in b, as int32. */
KERNEL(by_index)
{
    const int32_t *at = (const int32_t *)c;
    UNUSED
    EACH y[i] = a[at[i]] + a[at[i + n]] * b[at[i + 2 * n]];
}

/* Read: the sum of all numbers in eight vectors, so that nothing waits for an addition. */
KERNEL(read)
{
    vec s[8] = {{0}};
    const in_memory *v = (const in_memory *)a;
    UNUSED
    for (size_t i = 0; i + 8 <= n / LANES; i += 8)
        for (int k = 0; k < 8; k++)
            s[k] += v[i + k];
    for (int k = 0; k < 8; k++)
        y[k] = s[k][0] + s[k][LANES - 1];
}

/* In registers: n operations of twelve vectors that wait for nothing but themselves. */
#define IN_REGISTERS(name, operation)                                                                                  \
    KERNEL(name)                                                                                                       \
    {                                                                                                                  \
        vec s[12];                                                                                                     \
        const vec t = *(const in_memory *)b;                                                                           \
        UNUSED                                                                                                         \
        _Pragma("GCC unroll 12") for (int k = 0; k < 12; k++)                                                          \
            s[k] = *(const in_memory *)(a + LANES * k);                                                                \
        for (size_t i = 0; i < n; i += 12 * LANES)                                                                     \
            _Pragma("GCC unroll 12") for (int k = 0; k < 12; k++) {                                                    \
                s[k] = s[k] operation t;                                                                               \
                __asm__("" : "+x"(s[k]));                                                                              \
            }                                                                                                          \
        _Pragma("GCC unroll 12") for (int k = 0; k < 12; k++)                                                          \
            y[k] = s[k][0];                                                                                            \
    }
#ifdef __x86_64__
IN_REGISTERS(add_in_registers, +)
IN_REGISTERS(multiply_in_registers, *)
#else
#define k_add_in_registers NULL
#define k_multiply_in_registers NULL
#endif

/* ---- one after another: each waits for the one before ---- */

KERNEL(chain_of_additions) { UNUSED double x = a[0]; const double s = b[0]; EACH x = x + s; y[0] = x; }
KERNEL(chain_of_multiplications) { UNUSED double x = a[0]; const double s = b[0]; EACH x = x * s; y[0] = x; }
KERNEL(chain_of_divisions) { UNUSED double x = a[0]; const double s = b[0]; EACH x = x / s; y[0] = x; }
KERNEL(chain_of_both) { UNUSED double x = a[0]; const double s = b[0], t = c[0]; EACH x = x * s + t; y[0] = x; }

/* ---- functions, by the C library: one number at a time, and vectors where glibc has libmvec ---- */

#define FUNCTIONS(F1, F2) F1(exp) F1(log) F1(sin) F1(cos) F1(tanh) F1(erf) F1(erfc) F1(expm1) F1(log1p) F2(pow)

#define SCALAR1(f) KERNEL(scalar_##f) { UNUSED EACH y[i] = f(a[i]); }
#define SCALAR2(f) KERNEL(scalar_##f) { UNUSED EACH y[i] = f(a[i], b[i]); }
FUNCTIONS(SCALAR1, SCALAR2)

#ifdef WITH_LIBMVEC
#if defined(__AVX2__)
#define MVEC(mark, f) _ZGVdN4##mark##_##f
#elif defined(__x86_64__)
#define MVEC(mark, f) _ZGVbN2##mark##_##f
#else
#define MVEC(mark, f) _ZGVnN2##mark##_##f
#endif
#define VECTOR1(f)                                                                                                     \
    extern vec MVEC(v, f)(vec) __attribute__((weak));                                                                  \
    KERNEL(vector_##f)                                                                                                 \
    { UNUSED for (size_t i = 0; i < n; i += LANES) *(in_memory *)(y + i) = MVEC(v, f)(*(const in_memory *)(a + i)); }
#define VECTOR2(f)                                                                                                     \
    extern vec MVEC(vv, f)(vec, vec) __attribute__((weak));                                                            \
    KERNEL(vector_##f)                                                                                                 \
    {                                                                                                                  \
        UNUSED                                                                                                         \
        for (size_t i = 0; i < n; i += LANES)                                                                          \
            *(in_memory *)(y + i) = MVEC(vv, f)(*(const in_memory *)(a + i), *(const in_memory *)(b + i));             \
    }
FUNCTIONS(VECTOR1, VECTOR2)
#define HAS1(f) (MVEC(v, f) ? k_vector_##f : NULL)
#define HAS2(f) (MVEC(vv, f) ? k_vector_##f : NULL)
#else
#define HAS1(f) NULL
#define HAS2(f) NULL
#endif

/* ---- by name ---- */

static kernel find(const char *name)
{
#define FIND(what) if (strcmp(name, #what) == 0) return k_##what;
    FIND(copy) FIND(read) FIND(add) FIND(multiply) FIND(multiply_by_one) FIND(multiply_and_add) FIND(fused) FIND(divide)
    FIND(sqrt) FIND(by_index) FIND(add_in_registers) FIND(multiply_in_registers)
    FIND(chain_of_additions) FIND(chain_of_multiplications) FIND(chain_of_divisions) FIND(chain_of_both)
#define FIND1(f) FIND(scalar_##f) if (strcmp(name, "vector_" #f) == 0) return HAS1(f);
#define FIND2(f) FIND(scalar_##f) if (strcmp(name, "vector_" #f) == 0) return HAS2(f);
    FUNCTIONS(FIND1, FIND2)
    return NULL;
}

int floors_lanes(void) { return LANES; }

int floors_has(const char *name) { return find(name) != NULL; }

/* Run a kernel `times` times on n numbers, a multiple of 64. */
void floors_run(const char *name, double *y, const double *a, const double *b, const double *c, size_t n, size_t times)
{
    const kernel volatile run = find(name);
    for (size_t k = 0; k < times; k++)
        run(y, a, b, c, n);
}

/* The loops over lanes, included by lanes.h once for each instruction set: TG_NAME makes the names, TG_VECTOR is how
 * many numbers a vector has.
 *
 * A kernel computes y from a, b and c for `width` lanes, a multiple of 16. An operand that is the same for all lanes is
 * one number: there is a kernel for each set of such operands that lanes.h has listed for the operation.
 */

#define TG_LANES width &= ~15; for (int l = 0; l < width; l++)
#define TG_KERNEL(name)                                                                                                \
    static void TG_NAME(name)(double *restrict y, const double *a, const double *b, const double *c, int width,        \
                              const TgMath *math)
#define TG_UNUSED (void)a; (void)b; (void)c; (void)math;

/* from the table: every operation with all operands in lanes */
#define TG_CASE(NAME, label, operands, errors, value, kind, da, db)                                                    \
    TG_KERNEL(k_##NAME) { TG_UNUSED TG_LANES y[l] = tg_do_##NAME(a[l], TG_LANE_##operands, 0.0); }
#define TG_CASE3(NAME, label, value)                                                                                   \
    TG_KERNEL(k_##NAME) { TG_UNUSED TG_LANES y[l] = tg_do_##NAME(a[l], b[l], c[l]); }
#define TG_LANE_UNARY 0.0
#define TG_LANE_BINARY b[l]
#define TG_LANE_PARAM b[l]
TG_OPS(TG_CASE)
TG_RECORDED_OPS(TG_CASE)
TG_TERNARY_OPS(TG_CASE3)
#undef TG_CASE
#undef TG_CASE3
#undef TG_LANE_UNARY
#undef TG_LANE_BINARY
#undef TG_LANE_PARAM

/* with some operands the same for all lanes; the number says which: 1 for a, 2 for b, 4 for c */
#define TG_UNARY_SCALARS(NAME)                                                                                         \
    TG_KERNEL(k_##NAME##_1) { TG_UNUSED const double y_ = tg_do_##NAME(a[0], 0.0, 0.0); TG_LANES y[l] = y_; }
#define TG_PARAM_SCALARS(NAME)                                                                                         \
    TG_KERNEL(k_##NAME##_2) { TG_UNUSED const double s = b[0]; TG_LANES y[l] = tg_do_##NAME(a[l], s, 0.0); }
#define TG_BINARY_SCALARS(NAME)                                                                                        \
    TG_KERNEL(k_##NAME##_1) { TG_UNUSED const double s = a[0]; TG_LANES y[l] = tg_do_##NAME(s, b[l], 0.0); }           \
    TG_PARAM_SCALARS(NAME)
#define TG_TERNARY_SCALARS(NAME)                                                                                       \
    TG_KERNEL(k_##NAME##_1) { TG_UNUSED const double s = a[0]; TG_LANES y[l] = tg_do_##NAME(s, b[l], c[l]); }          \
    TG_KERNEL(k_##NAME##_2) { TG_UNUSED const double s = b[0]; TG_LANES y[l] = tg_do_##NAME(a[l], s, c[l]); }          \
    TG_KERNEL(k_##NAME##_4) { TG_UNUSED const double s = c[0]; TG_LANES y[l] = tg_do_##NAME(a[l], b[l], s); }          \
    TG_KERNEL(k_##NAME##_3) { TG_UNUSED const double s = a[0], t = b[0]; TG_LANES y[l] = tg_do_##NAME(s, t, c[l]); }   \
    TG_KERNEL(k_##NAME##_5) { TG_UNUSED const double s = a[0], t = c[0]; TG_LANES y[l] = tg_do_##NAME(s, b[l], t); }   \
    TG_KERNEL(k_##NAME##_6) { TG_UNUSED const double s = b[0], t = c[0]; TG_LANES y[l] = tg_do_##NAME(a[l], s, t); }
TG_WITH_SCALARS(TG_UNARY_SCALARS, TG_PARAM_SCALARS, TG_BINARY_SCALARS, TG_TERNARY_SCALARS)
#undef TG_UNARY_SCALARS
#undef TG_PARAM_SCALARS
#undef TG_BINARY_SCALARS
#undef TG_TERNARY_SCALARS

static void TG_NAME(tg_fill_kernels)(TgKernel (*kernel)[8])
{
#define TG_CASE(NAME, label, operands, errors, value, kind, da, db) kernel[TG_##NAME][0] = TG_NAME(k_##NAME);
#define TG_CASE3(NAME, label, value) kernel[TG_##NAME][0] = TG_NAME(k_##NAME);
    TG_OPS(TG_CASE)
    TG_RECORDED_OPS(TG_CASE)
    TG_TERNARY_OPS(TG_CASE3)
#undef TG_CASE
#undef TG_CASE3
#define TG_SET(NAME, n) kernel[TG_##NAME][n] = TG_NAME(k_##NAME##_##n);
#define TG_UNARY_SCALARS(NAME) TG_SET(NAME, 1)
#define TG_PARAM_SCALARS(NAME) TG_SET(NAME, 2)
#define TG_BINARY_SCALARS(NAME) TG_SET(NAME, 1) TG_SET(NAME, 2)
#define TG_TERNARY_SCALARS(NAME)                                                                                       \
    TG_SET(NAME, 1) TG_SET(NAME, 2) TG_SET(NAME, 3) TG_SET(NAME, 4) TG_SET(NAME, 5) TG_SET(NAME, 6)
    TG_WITH_SCALARS(TG_UNARY_SCALARS, TG_PARAM_SCALARS, TG_BINARY_SCALARS, TG_TERNARY_SCALARS)
#undef TG_SET
#undef TG_UNARY_SCALARS
#undef TG_PARAM_SCALARS
#undef TG_BINARY_SCALARS
#undef TG_TERNARY_SCALARS
}

/* ---- by the vector math library ---- */

#ifdef TG_VECTOR_MATH
typedef double TG_NAME(TgVector) __attribute__((vector_size(8 * TG_VECTOR)));
typedef TG_NAME(TgVector) (*TG_NAME(TgUnary))(TG_NAME(TgVector));
typedef TG_NAME(TgVector) (*TG_NAME(TgBinary))(TG_NAME(TgVector), TG_NAME(TgVector));

static inline void TG_NAME(map1)(void *function, const double *a, double *restrict y, int width)
{
    const TG_NAME(TgUnary) f = (TG_NAME(TgUnary))function;
    for (int l = 0; l < width; l += TG_VECTOR) {
        TG_NAME(TgVector) x;
        memcpy(&x, a + l, sizeof x);
        x = f(x);
        memcpy(y + l, &x, sizeof x);
    }
}

static inline void TG_NAME(map2)(void *function, const double *a, const double *b, double *restrict y, int width)
{
    const TG_NAME(TgBinary) f = (TG_NAME(TgBinary))function;
    for (int l = 0; l < width; l += TG_VECTOR) {
        TG_NAME(TgVector) x, z;
        memcpy(&x, a + l, sizeof x);
        memcpy(&z, b + l, sizeof z);
        x = f(x, z);
        memcpy(y + l, &x, sizeof x);
    }
}

/* The functions that the library has: exp, log, sin ... */
#define TG_MAPPED1(NAME) TG_KERNEL(v_##NAME) { TG_UNUSED TG_NAME(map1)(math->of[TG_##NAME], a, y, width); }
#define TG_MAPPED2(NAME) TG_KERNEL(v_##NAME) { TG_UNUSED TG_NAME(map2)(math->of[TG_##NAME], a, b, y, width); }
TG_VECTOR_FUNCTIONS(TG_MAPPED1, TG_MAPPED2)
#undef TG_MAPPED1
#undef TG_MAPPED2

/* And those that are made of them. */
#define TG_MAP(function, from, to) TG_NAME(map1)(math->of[TG_##function], from, to, width)

TG_KERNEL(v_SIGMOID)
{
    double t[TG_MAX_WIDTH], u[TG_MAX_WIDTH];
    TG_UNUSED
    { TG_LANES t[l] = -fabs(a[l]); }
    TG_MAP(EXP, t, u);
    TG_LANES y[l] = a[l] != a[l] ? a[l] : (a[l] >= 0.0 ? 1.0 : u[l]) / (1.0 + u[l]);
}

TG_KERNEL(v_SILU)
{
    TG_NAME(v_SIGMOID)(y, a, b, c, width, math);
    TG_LANES y[l] *= a[l];
}

TG_KERNEL(v_SOFTPLUS)
{
    double t[TG_MAX_WIDTH], u[TG_MAX_WIDTH];
    TG_UNUSED
    { TG_LANES t[l] = -fabs(a[l]); }
    TG_MAP(EXP, t, u);
    TG_MAP(LOG1P, u, t);
    TG_LANES y[l] = (a[l] > 0.0 ? a[l] : 0.0) + t[l];
}

TG_KERNEL(v_LOGADDEXP)
{
    double t[TG_MAX_WIDTH], u[TG_MAX_WIDTH];
    TG_UNUSED
    { TG_LANES t[l] = -fabs(a[l] - b[l]); }
    TG_MAP(EXP, t, u);
    TG_MAP(LOG1P, u, t);
    TG_LANES y[l] = a[l] == b[l] ? a[l] + TG_LN2 : (a[l] - b[l] > 0.0 ? a[l] : b[l]) + t[l];
}

TG_KERNEL(v_ELU)                                                         /* b is the same for all lanes */
{
    double t[TG_MAX_WIDTH];
    const double s = b[0];
    TG_UNUSED
    TG_MAP(EXPM1, a, t);
    TG_LANES y[l] = a[l] > 0.0 ? a[l] : s * t[l];
}

TG_KERNEL(v_GELU)
{
    double t[TG_MAX_WIDTH], u[TG_MAX_WIDTH];
    TG_UNUSED
    { TG_LANES t[l] = -a[l] * TG_SQRT1_2; }
    TG_MAP(ERFC, t, u);
    TG_LANES y[l] = 0.5 * a[l] * u[l];
}

TG_KERNEL(v_POWN)                                                        /* b is the same for all lanes */
{
    double t[TG_MAX_WIDTH];
    const double n = b[0];
    TG_UNUSED
    if (n == 2.0) { TG_LANES y[l] = a[l] * a[l]; }
    else if (n == -1.0) { TG_LANES y[l] = 1.0 / a[l]; }
    else if (n == 0.5) { TG_LANES y[l] = a[l] == -INFINITY ? INFINITY : sqrt(a[l]) + 0.0; }
    else if (n == 3.0) { TG_LANES y[l] = a[l] * a[l] * a[l]; }
    else if (n == -2.0) { TG_LANES y[l] = 1.0 / (a[l] * a[l]); }
    else {
        { TG_LANES t[l] = n; }
        TG_NAME(map2)(math->of[TG_POW], a, t, y, width);
    }
}

/* Put into the table what can be done by these functions. */
static void TG_NAME(tg_fill_vector_kernels)(TgKernel (*kernel)[8], const TgMath *math)
{
#define TG_MAPPED(NAME) if (math->of[TG_##NAME] != NULL) kernel[TG_##NAME][0] = TG_NAME(v_##NAME);
    TG_VECTOR_FUNCTIONS(TG_MAPPED, TG_MAPPED)
#undef TG_MAPPED
    if (math->of[TG_EXP] != NULL) {
        kernel[TG_SIGMOID][0] = TG_NAME(v_SIGMOID);
        kernel[TG_SILU][0] = TG_NAME(v_SILU);
    }
    if (math->of[TG_EXP] != NULL && math->of[TG_LOG1P] != NULL) {
        kernel[TG_SOFTPLUS][0] = TG_NAME(v_SOFTPLUS);
        kernel[TG_LOGADDEXP][0] = TG_NAME(v_LOGADDEXP);
    }
    if (math->of[TG_EXPM1] != NULL)
        kernel[TG_ELU][2] = TG_NAME(v_ELU);
    if (math->of[TG_ERFC] != NULL)
        kernel[TG_GELU][0] = TG_NAME(v_GELU);
    if (math->of[TG_POW] != NULL)
        kernel[TG_POWN][2] = TG_NAME(v_POWN);
}
#undef TG_MAP
#endif

#undef TG_LANES
#undef TG_KERNEL
#undef TG_UNUSED

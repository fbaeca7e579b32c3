/* The loops over lanes, included by lanes.h once for each instruction set: TG_NAME makes the names, TG_VECTOR is how
 * many numbers a vector has. */

#ifdef TG_VECTOR_MATH
typedef double TG_NAME(TgVector) __attribute__((vector_size(8 * TG_VECTOR), aligned(8)));
typedef TG_NAME(TgVector) (*TG_NAME(TgUnary))(TG_NAME(TgVector));
typedef TG_NAME(TgVector) (*TG_NAME(TgBinary))(TG_NAME(TgVector), TG_NAME(TgVector));

static inline void TG_NAME(map1)(void *function, const double *a, double *restrict y, int width)
{
    const TG_NAME(TgUnary) f = (TG_NAME(TgUnary))function;
    for (int l = 0; l < width; l += TG_VECTOR)
        *(TG_NAME(TgVector) *)(y + l) = f(*(const TG_NAME(TgVector) *)(a + l));
}

static inline void TG_NAME(map2)(void *function, const double *a, const double *b, double *restrict y, int width)
{
    const TG_NAME(TgBinary) f = (TG_NAME(TgBinary))function;
    for (int l = 0; l < width; l += TG_VECTOR)
        *(TG_NAME(TgVector) *)(y + l) = f(*(const TG_NAME(TgVector) *)(a + l), *(const TG_NAME(TgVector) *)(b + l));
}
#endif

#define TG_LANES for (int l = 0; l < width; l++)

/* An operation by way of the vector math library; 0 where that lacks what it takes. */
static int TG_NAME(by_vector_math)(const TgStep *s, const double *a, const double *b, double *restrict y, int width,
                                   const TgMath *math)
{
#ifdef TG_VECTOR_MATH
    double t[TG_MAX_WIDTH], u[TG_MAX_WIDTH];
    void *exp_ = math->of[TG_EXP];
    void *log1p_ = math->of[TG_LOG1P];
    switch (s->op) {
    case TG_EXP: case TG_LOG: case TG_SIN: case TG_COS: case TG_TAN: case TG_ASIN: case TG_ACOS: case TG_ATAN:
    case TG_SINH: case TG_COSH: case TG_TANH: case TG_LOG1P: case TG_EXPM1: case TG_LOG2: case TG_LOG10: case TG_ERF:
    case TG_ERFC:
        if (math->of[s->op] == NULL)
            return 0;
        TG_NAME(map1)(math->of[s->op], a, y, width);
        return 1;
    case TG_POWN:
        if (math->of[TG_POW] == NULL || !(s->scalars & 2))
            return 0;
        if (b[0] == 2.0) { TG_LANES y[l] = a[l] * a[l]; return 1; }
        if (b[0] == -1.0) { TG_LANES y[l] = 1.0 / a[l]; return 1; }
        if (b[0] == 0.5) { TG_LANES y[l] = a[l] == -INFINITY ? INFINITY : sqrt(a[l]) + 0.0; return 1; }
        if (b[0] == 3.0) { TG_LANES y[l] = a[l] * a[l] * a[l]; return 1; }
        if (b[0] == -2.0) { TG_LANES y[l] = 1.0 / (a[l] * a[l]); return 1; }
        TG_NAME(map2)(math->of[TG_POW], a, b, y, width);
        return 1;
    case TG_POW: case TG_ATAN2: case TG_HYPOT:
        if (math->of[s->op] == NULL)
            return 0;
        TG_NAME(map2)(math->of[s->op], a, b, y, width);
        return 1;
    case TG_SIGMOID: case TG_SILU:
        if (exp_ == NULL)
            return 0;
        TG_LANES t[l] = -fabs(a[l]);
        TG_NAME(map1)(exp_, t, u, width);
        TG_LANES { const double r = (a[l] >= 0.0 ? 1.0 : u[l]) / (1.0 + u[l]); y[l] = a[l] != a[l] ? a[l] : r; }
        if (s->op == TG_SILU)
            TG_LANES y[l] *= a[l];
        return 1;
    case TG_SOFTPLUS:
        if (exp_ == NULL || log1p_ == NULL)
            return 0;
        TG_LANES t[l] = -fabs(a[l]);
        TG_NAME(map1)(exp_, t, u, width);
        TG_NAME(map1)(log1p_, u, t, width);
        TG_LANES y[l] = (a[l] > 0.0 ? a[l] : 0.0) + t[l];
        return 1;
    case TG_LOGADDEXP:
        if (exp_ == NULL || log1p_ == NULL)
            return 0;
        TG_LANES t[l] = -fabs(a[l] - b[l]);
        TG_NAME(map1)(exp_, t, u, width);
        TG_NAME(map1)(log1p_, u, t, width);
        TG_LANES y[l] = a[l] == b[l] ? a[l] + TG_LN2 : (a[l] - b[l] > 0.0 ? a[l] : b[l]) + t[l];
        return 1;
    case TG_ELU:
        if (math->of[TG_EXPM1] == NULL)
            return 0;
        TG_NAME(map1)(math->of[TG_EXPM1], a, t, width);
        TG_LANES y[l] = a[l] > 0.0 ? a[l] : b[l] * t[l];
        return 1;
    case TG_GELU:
        if (math->of[TG_ERFC] == NULL)
            return 0;
        TG_LANES t[l] = -a[l] * TG_SQRT1_2;
        TG_NAME(map1)(math->of[TG_ERFC], t, u, width);
        TG_LANES y[l] = 0.5 * a[l] * u[l];
        return 1;
    }
#else
    (void)s; (void)a; (void)b; (void)y; (void)width; (void)math;
#endif
    return 0;
}

static void TG_NAME(tg_steps)(const TgStep *steps, size_t count, double *lanes, const double *scalars, int width,
                              const TgMath *math)
{
    double broadcast[3][TG_MAX_WIDTH];
    for (const TgStep *s = steps; s < steps + count; s++) {
        double *restrict y = lanes + (size_t)s->y * width;
        const double *a = lanes + (size_t)s->a * width;
        const double *b = lanes + (size_t)s->b * width;
        const double *c = lanes + (size_t)s->c * width;
        if (s->scalars) {
            const double sa = s->scalars & 1 ? scalars[s->a] : 0.0;
            const double sb = s->scalars & 2 ? scalars[s->b] : 0.0;
            const double sc = s->scalars & 4 ? scalars[s->c] : 0.0;
            switch (s->op << 3 | s->scalars) {
#define TG_BINARY_WITH_SCALAR(NAME)                                                                                    \
            case TG_##NAME << 3 | 1: TG_LANES y[l] = tg_do_##NAME(sa, b[l], 0.0); continue;                            \
            case TG_##NAME << 3 | 2: TG_LANES y[l] = tg_do_##NAME(a[l], sb, 0.0); continue;
#define TG_TERNARY_WITH_SCALAR(NAME)                                                                                   \
            case TG_##NAME << 3 | 1: TG_LANES y[l] = tg_do_##NAME(sa, b[l], c[l]); continue;                           \
            case TG_##NAME << 3 | 2: TG_LANES y[l] = tg_do_##NAME(a[l], sb, c[l]); continue;                           \
            case TG_##NAME << 3 | 4: TG_LANES y[l] = tg_do_##NAME(a[l], b[l], sc); continue;                           \
            case TG_##NAME << 3 | 6: TG_LANES y[l] = tg_do_##NAME(a[l], sb, sc); continue;                             \
            case TG_##NAME << 3 | 5: TG_LANES y[l] = tg_do_##NAME(sa, b[l], sc); continue;                             \
            case TG_##NAME << 3 | 3: TG_LANES y[l] = tg_do_##NAME(sa, sb, c[l]); continue;
            TG_BINARY_WITH_SCALAR(ADD)
            TG_BINARY_WITH_SCALAR(MUL)
            TG_BINARY_WITH_SCALAR(SUB)
            TG_BINARY_WITH_SCALAR(DIV)
            TG_BINARY_WITH_SCALAR(ZMUL)
            TG_BINARY_WITH_SCALAR(TMUL)
            TG_BINARY_WITH_SCALAR(LT)
            TG_BINARY_WITH_SCALAR(GT)
            TG_BINARY_WITH_SCALAR(MAXIMUM)
            TG_BINARY_WITH_SCALAR(MINIMUM)
            TG_TERNARY_WITH_SCALAR(MADD)
            TG_TERNARY_WITH_SCALAR(ZMADD)
            TG_TERNARY_WITH_SCALAR(SELECT)
#undef TG_BINARY_WITH_SCALAR
#undef TG_TERNARY_WITH_SCALAR
            }
            if (s->scalars & 1) { TG_LANES broadcast[0][l] = sa; a = broadcast[0]; }
            if (s->scalars & 2) { TG_LANES broadcast[1][l] = sb; b = broadcast[1]; }
            if (s->scalars & 4) { TG_LANES broadcast[2][l] = sc; c = broadcast[2]; }
        }
        if (TG_NAME(by_vector_math)(s, a, b, y, width, math))
            continue;
        switch (s->op) {
#define TG_CASE(NAME, label, operands, errors, value, kind, da, db)                                                    \
        case TG_##NAME: TG_LANES y[l] = tg_do_##NAME(a[l], TG_LANE_##operands, 0.0); break;
#define TG_CASE3(NAME, label, value)                                                                                   \
        case TG_##NAME: TG_LANES y[l] = tg_do_##NAME(a[l], b[l], c[l]); break;
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
        }
    }
}

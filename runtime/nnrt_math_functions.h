/* Template of nnrt_math.h: the functions of one width, from its primitives. NNRT_SUFFIX, NNRT_V, NNRT_I, NNRT_U say
 * which. No product may meet a sum but in fma(): see there. */
#define NNRT_F(name) NNRT_JOIN(nnrt_##name##_, NNRT_SUFFIX)
#define NNRT_C(value) NNRT_F(splat)(value)

NNRT_MATH NNRT_V NNRT_F(abs)(NNRT_V x) {
    return NNRT_F(of_bits)(NNRT_F(bits)(x) & 0x7FFFFFFF);
}
NNRT_MATH NNRT_V NNRT_F(neg)(NNRT_V x) {
    return -x;
}
NNRT_MATH NNRT_V NNRT_F(copysign)(NNRT_V x, NNRT_V sign) {
    return NNRT_F(of_bits)((NNRT_F(bits)(x) & 0x7FFFFFFF) | (NNRT_F(bits)(sign) & (-0x7FFFFFFF - 1)));
}
NNRT_MATH NNRT_V NNRT_F(rsqrt)(NNRT_V x) {
    return 1.0f / NNRT_F(sqrt)(x);
}
NNRT_MATH NNRT_V NNRT_F(max)(NNRT_V a, NNRT_V b) {
    return NNRT_F(select_eq)(a, a, NNRT_F(at_least)(b, a), a); /* at_least keeps NaN of b, select_eq that of a */
}
NNRT_MATH NNRT_V NNRT_F(min)(NNRT_V a, NNRT_V b) {
    return NNRT_F(select_eq)(a, a, NNRT_F(at_most)(b, a), a);
}

/* x 2^n for whole n, |n| <= 150. In two steps, the second of which may give infinity or round to a subnormal. */
NNRT_MATH NNRT_V NNRT_F(scale)(NNRT_V x, NNRT_V n) {
#ifdef NNRT_SCALE
    return NNRT_SCALE(x, n);
#else
    NNRT_I whole = (NNRT_I)((NNRT_U)NNRT_F(bits)(n + 12582912.0f) - 0x4B400000u), half = whole >> 1;
    NNRT_V first = NNRT_F(of_bits)((NNRT_I)(((NNRT_U)half + 127u) << 23));
    return x * first * NNRT_F(of_bits)((NNRT_I)(((NNRT_U)(whole - half) + 127u) << 23));
#endif
}

/* To the nearest integer, ties to even: adding 2^23 leaves no room for a fraction. */
NNRT_MATH NNRT_V NNRT_F(round)(NNRT_V x) {
    NNRT_V size = NNRT_F(abs)(x), rounded = (size + 8388608.0f) - 8388608.0f;
    return NNRT_F(select_lt)(size, NNRT_C(8388608.0f), NNRT_F(copysign)(rounded, x), x);
}
NNRT_MATH NNRT_V NNRT_F(floor)(NNRT_V x) {
    NNRT_V r = NNRT_F(round)(x);
    return NNRT_F(copysign)(NNRT_F(select_lt)(x, r, r - 1.0f, r), x);
}
NNRT_MATH NNRT_V NNRT_F(ceil)(NNRT_V x) {
    return -NNRT_F(floor)(-x);
}

/* x = n ln 2 + r, |r| <= ln 2 / 2. Leaves n, a whole number, and r; returns q with e^r = 1 + r + r^2 q (a polynomial of
 * least relative error, 1.6e-9). */
NNRT_MATH NNRT_V NNRT_F(exp_core)(NNRT_V x, NNRT_V *n, NNRT_V *r) {
    NNRT_V q;
    *n = NNRT_F(fma)(x, NNRT_C(1.44269504f), NNRT_C(12582912.0f)) - 12582912.0f;
    *r = NNRT_F(fma)(*n, NNRT_C(-0.693359375f), x);
    *r = NNRT_F(fma)(*n, NNRT_C(2.12194440e-4f), *r);
    q = NNRT_F(fma)(NNRT_C(1.3820689637e-3f), *r, NNRT_C(8.3686755970e-3f));
    q = NNRT_F(fma)(q, *r, NNRT_C(4.1668266058e-2f));
    q = NNRT_F(fma)(q, *r, NNRT_C(1.6666521132e-1f));
    return NNRT_F(fma)(q, *r, NNRT_C(4.9999994040e-1f));
}
/* e^x for -104 <= x <= 89. */
NNRT_MATH NNRT_V NNRT_F(exp_inside)(NNRT_V x) {
    NNRT_V n, r, q = NNRT_F(exp_core)(x, &n, &r);
    return NNRT_F(scale)(NNRT_F(fma)(NNRT_F(fma)(q, r, NNRT_C(1.0f)), r, NNRT_C(1.0f)), n);
}
NNRT_MATH NNRT_V NNRT_F(exp)(NNRT_V x) {
    return NNRT_F(exp_inside)(NNRT_F(at_most)(NNRT_F(at_least)(x, NNRT_C(-104.0f)), NNRT_C(89.0f)));
}
NNRT_MATH NNRT_V NNRT_F(expm1)(NNRT_V x) {
    NNRT_V n, r, q = NNRT_F(exp_core)(NNRT_F(at_most)(NNRT_F(at_least)(x, NNRT_C(-18.0f)), NNRT_C(89.0f)), &n, &r);
    NNRT_V half = NNRT_F(scale)(NNRT_C(0.5f), n); /* 2^128 would not fit */
    return 2.0f * NNRT_F(fma)(NNRT_F(fma)(r * r, q, r), half, half - 0.5f);
}

/* ln x + correction for 0 < x < infinity: x = 2^k m, 0.707 <= m < 1.414 (coefficients of Cephes). */
NNRT_MATH NNRT_V NNRT_F(log_core)(NNRT_V x, NNRT_V correction) {
    NNRT_V small = NNRT_C(1.17549435e-38f), k, f, s, p;
    NNRT_V scaled = NNRT_F(select_lt)(x, small, x * 8388608.0f, x);
    NNRT_V offset = NNRT_F(select_lt)(x, small, NNRT_C(-23.0f), NNRT_C(0.0f));
    NNRT_I bits = NNRT_F(bits)(scaled), power = (NNRT_I)((NNRT_U)bits - 0x3F3504F3u) >> 23;
    k = NNRT_F(from_i32)(power) + offset;
    f = NNRT_F(of_bits)((NNRT_I)((NNRT_U)bits - ((NNRT_U)power << 23))) - 1.0f;
    s = f * f;
    p = NNRT_F(fma)(NNRT_C(7.0376836292e-2f), f, NNRT_C(-1.1514610310e-1f));
    p = NNRT_F(fma)(p, f, NNRT_C(1.1676998740e-1f));
    p = NNRT_F(fma)(p, f, NNRT_C(-1.2420140846e-1f));
    p = NNRT_F(fma)(p, f, NNRT_C(1.4249322787e-1f));
    p = NNRT_F(fma)(p, f, NNRT_C(-1.6668057665e-1f));
    p = NNRT_F(fma)(p, f, NNRT_C(2.0000714765e-1f));
    p = NNRT_F(fma)(p, f, NNRT_C(-2.4999993993e-1f));
    p = NNRT_F(fma)(p, f, NNRT_C(3.3333331174e-1f));
    p = NNRT_F(fma)(f * s, p, NNRT_F(fma)(k, NNRT_C(-2.12194440e-4f), correction));
    p = NNRT_F(fma)(NNRT_C(-0.5f), s, p);
    return NNRT_F(fma)(k, NNRT_C(0.693359375f), f + p);
}
/* The ends of a logarithm of u: infinite and NaN arguments stay, 0 gives -infinity, below is NaN. */
NNRT_MATH NNRT_V NNRT_F(log_ends)(NNRT_V result, NNRT_V u) {
    NNRT_V below = NNRT_F(select_eq)(u, NNRT_C(0.0f), NNRT_C(-INFINITY), NNRT_C(NAN));
    result = NNRT_F(select_lt)(u, NNRT_C(INFINITY), result, u);
    return NNRT_F(select_le)(u, NNRT_C(0.0f), below, result);
}
NNRT_MATH NNRT_V NNRT_F(log)(NNRT_V x) {
    return NNRT_F(log_ends)(NNRT_F(log_core)(x, NNRT_C(0.0f)), x);
}
NNRT_MATH NNRT_V NNRT_F(log1p)(NNRT_V x) {
    NNRT_V u = x + 1.0f, lost = x - (u - 1.0f); /* what the sum rounded off */
    return NNRT_F(log_ends)(NNRT_F(log_core)(u, lost / u), u);
}

NNRT_MATH NNRT_V NNRT_F(tanh)(NNRT_V x) {
    NNRT_V n, r, q = NNRT_F(exp_core)(NNRT_F(at_least)(NNRT_F(abs)(x) * -2.0f, NNRT_C(-18.0f)), &n, &r), e;
    NNRT_V power = NNRT_F(scale)(NNRT_C(1.0f), n);
    e = NNRT_F(fma)(NNRT_F(fma)(r * r, q, r), power, power - 1.0f); /* expm1, of nothing large */
    return NNRT_F(copysign)(e / (e + 2.0f), x);
}
NNRT_MATH NNRT_V NNRT_F(sigmoid)(NNRT_V x) {
    /* exp, never large: no accuracy is lost on either side */
    NNRT_V e = NNRT_F(exp_inside)(NNRT_F(at_least)(-NNRT_F(abs)(x), NNRT_C(-104.0f)));
    return NNRT_F(select_lt)(x, NNRT_C(0.0f), e, NNRT_C(1.0f)) / (e + 1.0f);
}

/* Two polynomials (after N. Juffa): x p(x^2) in the middle, 1 - e^(p(|x|)) outside. */
NNRT_MATH NNRT_V NNRT_F(erf)(NNRT_V x) {
    NNRT_V t = NNRT_F(at_most)(NNRT_F(abs)(x), NNRT_C(4.0f)), s = t * t, r, u, inner;
    r = NNRT_F(fma)(NNRT_C(-1.72853470e-5f), t, NNRT_C(3.83197126e-4f));
    u = NNRT_F(fma)(NNRT_C(-3.88396438e-3f), t, NNRT_C(2.42546219e-2f));
    r = NNRT_F(fma)(r, s, u);
    r = NNRT_F(fma)(r, t, NNRT_C(-1.06777877e-1f));
    r = NNRT_F(fma)(r, t, NNRT_C(-6.34846687e-1f));
    r = NNRT_F(fma)(r, t, NNRT_C(-1.28717512e-1f));
    r = NNRT_F(fma)(r, t, -t);
    r = NNRT_F(copysign)(1.0f - NNRT_F(exp)(r), x);
    inner = NNRT_F(fma)(NNRT_C(-5.96761703e-4f), s, NNRT_C(4.99119423e-3f));
    inner = NNRT_F(fma)(inner, s, NNRT_C(-2.67681349e-2f));
    inner = NNRT_F(fma)(inner, s, NNRT_C(1.12819925e-1f));
    inner = NNRT_F(fma)(inner, s, NNRT_C(-3.76125336e-1f));
    inner = NNRT_F(fma)(inner, s, NNRT_C(1.28379166e-1f));
    inner = NNRT_F(fma)(inner, x, x);
    return NNRT_F(select_lt)(NNRT_C(0.927734375f), t, r, inner);
}
/* e^(x x) erfc(|x|) = t (1 + u p(u)), where t = 1 / (1 + |x| / 2) and u = |x| t; the error times e^(-x x) is least. */
NNRT_MATH NNRT_V NNRT_F(erfcx)(NNRT_V x) {
    NNRT_V size = NNRT_F(abs)(x), t = 1.0f / NNRT_F(fma)(size, NNRT_C(0.5f), NNRT_C(1.0f)), u, q;
    u = NNRT_F(at_most)(size, NNRT_C(3.4028235e38f)) * t; /* of infinity 0, not NaN */
    q = NNRT_F(fma)(NNRT_C(-1.98171762e-4f), u, NNRT_C(1.24103948e-3f));
    q = NNRT_F(fma)(q, u, NNRT_C(-1.69228096e-3f));
    q = NNRT_F(fma)(q, u, NNRT_C(-1.63636714e-3f));
    q = NNRT_F(fma)(q, u, NNRT_C(-6.72368054e-3f));
    q = NNRT_F(fma)(q, u, NNRT_C(2.65650069e-2f));
    q = NNRT_F(fma)(q, u, NNRT_C(1.21615231e-1f));
    q = NNRT_F(fma)(q, u, NNRT_C(-6.28379425e-1f));
    return NNRT_F(fma)(q, u, NNRT_C(1.0f)) * t;
}
#undef NNRT_F
#undef NNRT_C
#undef NNRT_SCALE
#undef NNRT_W
#undef NNRT_SUFFIX
#undef NNRT_V
#undef NNRT_I
#undef NNRT_U

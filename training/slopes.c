/* What rows of features add to the loss and the gradient of logistic regressions.
 *
 * Plain C99, compiled into the library of model/kernel.c; training/slopes.py opens it. All fits of
 * a head go over a row together: it is read once for their log-odds, and while it is still at hand
 * once more for their gradients. It allocates nothing and keeps nothing.
 *
 * Every fit's sums are made in the order of the rows, by products and sums alone, so they depend
 * neither on which other fits there are nor on the machine's mathematical library. It must be
 * compiled without contraction (-ffp-contract=off) for that.
 */

#include <stdint.h>
#include <string.h>

#if defined(_WIN32)
#define EXPORTED __declspec(dllexport)
#else
#define EXPORTED __attribute__((visibility("default")))
#endif

#if defined(__GNUC__)
#define SOON(address) __builtin_prefetch(address)
#define INLINE static inline __attribute__((always_inline))
#else
#define SOON(address) ((void)(address))
#define INLINE static inline
#endif

enum { MOST_FITS = 64, AHEAD = 12, DOUBLES_A_LINE = 8 };
enum { DONE, IMPOSSIBLE };

/* Rows as training/shards.py keeps them: of each feature how far its place is from the one before
 * it in the row, and which of the values it has. What is too far takes several steps, of value 0. */
typedef struct {
    int64_t rows;
    const int64_t *ends;        /* rows + 1, the first 0 */
    const uint16_t *steps;
    const uint16_t *codes;
    const double *values;
    int64_t places;
    int64_t values_size;
} Matrix;

/* What rows teach the heads. */
typedef struct {
    int64_t heads;
    const double *weight;       /* (rows, heads) */
    const uint8_t *truth;       /* (rows, heads) */
    const uint8_t *fold;
    const uint32_t *source;
} Taught;

/* The fits of one head: each without a fold and a source, where those are 0 or more. */
typedef struct {
    int64_t head;
    int64_t fits;
    const int64_t *fold;
    const int64_t *source;
    const double *balance;      /* (fits, 2): of the negative and the positive side */
    const double *weights;      /* (places, fits) */
    const double *bias;
    double *gradient;           /* (places, fits), added to */
    double *slope;              /* of the bias, added to */
    double *loss;               /* added to */
} Fits;

/* exp(x) for x of at most 0: by Cody and Waite's reduction and Taylor's series. */
INLINE double power(double x)
{
    double whole, rest, sum;
    int64_t exponent;
    union { uint64_t bits; double value; } two;
    if (x < -708.0)
        return 0.0;
    exponent = (int64_t)(x * 1.4426950408889634 - 0.5);
    whole = (double)exponent;
    rest = (x - whole * 6.93147180369123816490e-01) - whole * 1.90821492927058770002e-10;
    sum = 1.0 / 6227020800.0;
    sum = sum * rest + 1.0 / 479001600.0;
    sum = sum * rest + 1.0 / 39916800.0;
    sum = sum * rest + 1.0 / 3628800.0;
    sum = sum * rest + 1.0 / 362880.0;
    sum = sum * rest + 1.0 / 40320.0;
    sum = sum * rest + 1.0 / 5040.0;
    sum = sum * rest + 1.0 / 720.0;
    sum = sum * rest + 1.0 / 120.0;
    sum = sum * rest + 1.0 / 24.0;
    sum = sum * rest + 1.0 / 6.0;
    sum = sum * rest + 0.5;
    sum = sum * rest + 1.0;
    sum = sum * rest + 1.0;
    two.bits = (uint64_t)(exponent + 1023) << 52;
    return sum * two.value;
}

/* log(1 + x) for x in [0, 1]: twice the series of the inverse hyperbolic tangent. */
INLINE double logarithm(double x)
{
    double ratio = x / (2.0 + x), square = ratio * ratio, sum = 1.0 / 33.0;
    int odd;
    for (odd = 31; odd > 0; odd -= 2)
        sum = sum * square + 1.0 / (double)odd;
    return 2.0 * ratio * sum;
}

/* What one row adds. `fits` is a constant wherever this is called, so that loops are unrolled. */
INLINE void row_of(const Matrix *m, const Taught *taught, const Fits *f, int64_t row, int64_t fits)
{
    double odds[MOST_FITS];
    const int64_t begin = m->ends[row], end = m->ends[row + 1];
    const double own = taught->weight[row * taught->heads + f->head];
    const int truth = taught->truth[row * taught->heads + f->head] != 0;
    uint64_t place = 0, soon = 0;
    int64_t at, k, line;

    for (k = 0; k < fits; k++)
        odds[k] = 0.0;
    for (at = begin; at < end && at < begin + AHEAD; at++)
        soon += m->steps[at];
    for (at = begin; at < end; at++) {
        const double value = m->values[m->codes[at]];
        const double *weights;
        place += m->steps[at];
        weights = f->weights + place * fits;
        if (at + AHEAD < end) {
            soon += m->steps[at + AHEAD];
            for (line = 0; line < fits; line += DOUBLES_A_LINE) {
                SOON(f->weights + soon * fits + line);
                SOON(f->gradient + soon * fits + line);
            }
        }
        for (k = 0; k < fits; k++)
            odds[k] += value * weights[k];
    }
    for (k = 0; k < fits; k++) {
        const double weight = taught->fold[row] == f->fold[k] || taught->source[row] == f->source[k]
            ? 0.0 : own * f->balance[2 * k + truth];
        const double z = odds[k] + f->bias[k], far = z < 0.0 ? -z : z, small = power(-far);
        const double share = (z < 0.0 ? small : 1.0) / (1.0 + small);
        const double loss = logarithm(small) + (z < 0.0 ? 0.0 : z) - (truth ? z : 0.0);
        f->loss[k] += weight * loss;
        odds[k] = weight * (share - (double)truth);
        f->slope[k] += odds[k];
    }
    for (place = 0, at = begin; at < end; at++) {
        const double value = m->values[m->codes[at]];
        double *gradient;
        place += m->steps[at];
        gradient = f->gradient + place * fits;
        for (k = 0; k < fits; k++)
            gradient[k] += value * odds[k];
    }
}

INLINE void rows_of(const Matrix *m, const Taught *taught, const Fits *f, int64_t fits)
{
    int64_t row;
    for (row = 0; row < m->rows; row++)
        if (taught->weight[row * taught->heads + f->head] > 0.0)
            row_of(m, taught, f, row, fits);
}

#define CASE(n) case n: rows_of(m, taught, f, n); break

/* Adds what the rows add to the fits' gradients, slopes and losses. */
EXPORTED int duyet_slopes(const Matrix *m, const Taught *taught, const Fits *f)
{
    if (f->fits < 1 || f->fits > MOST_FITS || f->head < 0 || f->head >= taught->heads)
        return IMPOSSIBLE;
    switch (f->fits) {
    CASE(1); CASE(2); CASE(3); CASE(4); CASE(5); CASE(6); CASE(7); CASE(8);
    CASE(9); CASE(10); CASE(11); CASE(12); CASE(13); CASE(14); CASE(15); CASE(16);
    default: rows_of(m, taught, f, f->fits);
    }
    return DONE;
}

/* Whether all places and values that the rows name are there: a shard may be a damaged file. */
EXPORTED int duyet_rows_are_whole(const Matrix *m)
{
    int64_t row, at;
    if (m->ends[0] != 0)
        return 0;
    for (row = 0; row < m->rows; row++) {
        uint64_t place = 0;
        if (m->ends[row] > m->ends[row + 1])
            return 0;
        for (at = m->ends[row]; at < m->ends[row + 1]; at++) {
            place += m->steps[at];
            if (place >= (uint64_t)m->places || m->codes[at] >= m->values_size)
                return 0;
        }
    }
    return 1;
}

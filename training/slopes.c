/* What rows of features add to the loss and the gradient of logistic regressions.
 *
 * Plain C99, compiled into the library of model/kernel.c; training/slopes.py opens it. All fits of
 * a head go over a shard together, place by place: the weights of all places are longer than a
 * processor's cache and are gone through once from end to end, while the rows' sums, which are
 * short, stay at hand. It allocates nothing and keeps nothing.
 *
 * Every fit's sums are made in one order, by products and sums alone, so they depend neither on
 * which other fits there are nor on the machine's mathematical library. It must be compiled without
 * contraction (-ffp-contract=off) for that.
 */

#include <stdint.h>
#include <string.h>

#if defined(_WIN32)
#define EXPORTED __declspec(dllexport)
#else
#define EXPORTED __attribute__((visibility("default")))
#endif

#if defined(__GNUC__)
#define INLINE static inline __attribute__((always_inline))
#else
#define INLINE static inline
#endif

enum { MOST_FITS = 64 };
enum { DONE, IMPOSSIBLE };

/* Rows of one head by place, as training/slopes.py packs them: of each place how far it is from the
 * one before it, and how many rows have it; of each of those which pair of a row and a value. What
 * is too far takes several steps, without rows. */
typedef struct {
    int64_t rows;
    int64_t stops;
    int64_t pairs;
    const uint16_t *steps;      /* (stops,) */
    const uint16_t *counts;     /* (stops,) */
    const uint16_t *entries;    /* (sum of counts,) */
    const uint16_t *row;        /* (pairs,) */
    const double *values;       /* alike */
} Matrix;

/* What those rows teach the head: a value each. */
typedef struct {
    const double *weight;
    const uint8_t *truth;
    const uint8_t *fold;
    const uint32_t *source;
} Taught;

/* The fits of one head: each without a fold and a source, where those are 0 or more. */
typedef struct {
    int64_t fits;
    const int64_t *fold;
    const int64_t *source;
    const double *balance;      /* (fits, 2): of the negative and the positive side */
    const double *weights;      /* (places, fits) */
    const double *bias;
    double *gradient;           /* (places, fits), added to */
    double *slope;              /* of the bias, added to */
    double *loss;               /* added to */
    double *odds;               /* (rows, fits), for what is worked on */
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

/* The log-odds of every row, still without bias. `fits` is a constant wherever this and what follows
 * is called, so that the loops over it are unrolled. */
INLINE void weigh(const Matrix *m, const Fits *f, int64_t fits)
{
    const uint16_t *entry = m->entries;
    const double *weights = f->weights;
    int64_t stop, k;
    memset(f->odds, 0, (size_t)(m->rows * fits) * sizeof(double));
    for (stop = 0; stop < m->stops; stop++) {
        const uint16_t *end = entry + m->counts[stop];
        weights += m->steps[stop] * fits;
        for (; entry < end; entry++) {
            const double value = m->values[*entry];
            double *odds = f->odds + m->row[*entry] * fits;
            for (k = 0; k < fits; k++)
                odds[k] += value * weights[k];
        }
    }
}

/* Each row's loss, and in place of its log-odds how steep that is. */
INLINE void compare(const Matrix *m, const Taught *taught, const Fits *f, int64_t fits)
{
    int64_t row, k;
    for (row = 0; row < m->rows; row++) {
        const int truth = taught->truth[row] != 0;
        double *odds = f->odds + row * fits;
        for (k = 0; k < fits; k++) {
            const int unseen = taught->fold[row] == f->fold[k] || taught->source[row] == f->source[k];
            const double weight = unseen ? 0.0 : taught->weight[row] * f->balance[2 * k + truth];
            const double z = odds[k] + f->bias[k], far = z < 0.0 ? -z : z, small = power(-far);
            const double share = (z < 0.0 ? small : 1.0) / (1.0 + small);
            const double loss = logarithm(small) + (z < 0.0 ? 0.0 : z) - (truth ? z : 0.0);
            f->loss[k] += weight * loss;
            odds[k] = weight * (share - (double)truth);
            f->slope[k] += odds[k];
        }
    }
}

INLINE void gather(const Matrix *m, const Fits *f, int64_t fits)
{
    const uint16_t *entry = m->entries;
    double *gradient = f->gradient;
    int64_t stop, k;
    for (stop = 0; stop < m->stops; stop++) {
        const uint16_t *end = entry + m->counts[stop];
        double sum[MOST_FITS];
        gradient += m->steps[stop] * fits;
        for (k = 0; k < fits; k++)
            sum[k] = 0.0;
        for (; entry < end; entry++) {
            const double value = m->values[*entry];
            const double *odds = f->odds + m->row[*entry] * fits;
            for (k = 0; k < fits; k++)
                sum[k] += value * odds[k];
        }
        for (k = 0; k < fits; k++)
            gradient[k] += sum[k];
    }
}

INLINE void all_of(const Matrix *m, const Taught *taught, const Fits *f, int64_t fits)
{
    weigh(m, f, fits);
    compare(m, taught, f, fits);
    gather(m, f, fits);
}

#define CASE(n) case n: all_of(m, taught, f, n); break

/* Adds what the rows add to the fits' gradients, slopes and losses. */
EXPORTED int duyet_slopes(const Matrix *m, const Taught *taught, const Fits *f)
{
    if (f->fits < 1 || f->fits > MOST_FITS)
        return IMPOSSIBLE;
    switch (f->fits) {
    CASE(1); CASE(2); CASE(3); CASE(4); CASE(5); CASE(6); CASE(7); CASE(8);
    CASE(9); CASE(10); CASE(11); CASE(12); CASE(13); CASE(14); CASE(15); CASE(16);
    default: all_of(m, taught, f, f->fits);
    }
    return DONE;
}

/* Counts the rows that have each place, `of` saying of each row in which column, -1 for none: shape
 * (places, columns). With weights each counts as its weight times the square of its value. */
EXPORTED void duyet_having(const Matrix *m, const int64_t *of, const double *weight,
                           int64_t columns, double *counts)
{
    const uint16_t *entry = m->entries;
    int64_t stop;
    for (stop = 0; stop < m->stops; stop++) {
        const uint16_t *end = entry + m->counts[stop];
        counts += m->steps[stop] * columns;
        for (; entry < end; entry++) {
            const int64_t row = m->row[*entry];
            const double value = m->values[*entry];
            if (of[row] >= 0)
                counts[of[row]] += weight ? weight[row] * value * value : 1.0;
        }
    }
}

/* Whether all places, rows and values that are named are there: a shard may be a damaged file. */
EXPORTED int duyet_rows_are_whole(const Matrix *m, int64_t places, int64_t entries)
{
    int64_t at, place = 0, sum = 0;
    for (at = 0; at < m->stops; at++) {
        place += m->steps[at];
        sum += m->counts[at];
    }
    if ((m->stops && place >= places) || sum != entries)
        return 0;
    for (at = 0; at < m->pairs; at++)
        if (m->row[at] >= m->rows)
            return 0;
    for (at = 0; at < entries; at++)
        if (m->entries[at] >= m->pairs)
            return 0;
    return 1;
}

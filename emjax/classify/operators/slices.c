/* Slices of many volumes at once, and their adjoint, from the particles' poses.

   Rows of a table hold the real parts of all volumes, then the imaginary parts, each filled up
   with zeros to a multiple of four: `width` floats. */
#include "locate.h"

#define SOME 16 /* pixels between two transpositions */
#define HELD 4  /* octets that are summed up in registers */
#define WIDTH 16 /* numbers of an image that are multiplied at once */

typedef float octet __attribute__((vector_size(32), aligned(4), may_alias));
typedef float vec __attribute__((vector_size(4 * WIDTH), aligned(4), may_alias));

INLINE void fetch(const float *rows, int64_t width, const int writing) {
    for (int64_t at = 0; at < 2 * width; at += 16)
        if (writing) __builtin_prefetch(rows + at, 1);
        else __builtin_prefetch(rows + at);
}

/* values[octets] of pixel j = sum over its voxels of weight times row. */
INLINE void gather(pixels q, int64_t j, int64_t width, const int octets, const float *table,
                   float *values) {
    octet sum[HELD] = {0};
    for (int c = 0; c < 4; c++) {
        const float *row = table + (int64_t)q.row[c][j] * width;
        for (int k = 0; k < octets; k++)
            sum[k] += q.weight[2 * c][j] * ((const octet *)row)[k] +
                      q.weight[2 * c + 1][j] * ((const octet *)(row + width))[k];
    }
    for (int k = 0; k < octets; k++) ((octet *)values)[k] = sum[k];
}

/* sums += weight times values[octets] at the voxels of pixel j. */
INLINE void scatter(pixels q, int64_t j, int64_t width, const int octets, const float *values,
                    float *sums) {
    octet value[HELD];
    for (int k = 0; k < octets; k++) value[k] = ((const octet *)values)[k];
    for (int c = 0; c < 4; c++) {
        float *row = sums + (int64_t)q.row[c][j] * width;
        for (int k = 0; k < octets; k++) {
            ((octet *)row)[k] += q.weight[2 * c][j] * value[k];
            ((octet *)(row + width))[k] += q.weight[2 * c + 1][j] * value[k];
        }
    }
}

/* A whole row of pixel j, as many octets at once as are held: their number is known when compiled. */
#define BY_OCTETS(work, from, to)                                                     \
    for (int64_t at = 0; at < width; at += 8 * HELD) {                                \
        if (width - at == 8) work(q, j, width, 1, (from) + at, (to) + at);            \
        else if (width - at == 16) work(q, j, width, 2, (from) + at, (to) + at);      \
        else if (width - at == 24) work(q, j, width, 3, (from) + at, (to) + at);      \
        else work(q, j, width, HELD, (from) + at, (to) + at);                         \
    }

/* out[n][volumes][p][2] = slices. Room: ROOM (p + AHEAD) floats; values: [SOME][width]. */
CLONES void slice_volumes(grid g, particles all, int64_t volumes, int64_t width, float *room,
                          float *values, const float *table, float *out) {
    pixels q = lay_out(room, g.p);
    for (int64_t i = 0; i < all.n; i++, out += volumes * 2 * g.p) {
        locate(g, all, i, q);
        for (int64_t from = 0; from < g.p; from += SOME) {
            const int64_t to = from + SOME < g.p ? from + SOME : g.p;
            for (int64_t j = from; j < to; j++) {
                float *own = values + (j - from) * width;
                for (int c = 0; c < 4; c++)
                    fetch(table + (int64_t)q.row[c][j + AHEAD] * width, width, 0);
                BY_OCTETS(gather, table, own)
            }
            for (int64_t c = 0; c < volumes; c++) {
                float *slice = out + (c * g.p + from) * 2;
                const float *re = values + c, *im = re + width / 2;
                for (int64_t j = 0; j < to - from; j++) {
                    slice[2 * j] = re[j * width];
                    slice[2 * j + 1] = q.sign[from + j] * im[j * width];
                }
            }
        }
    }
}

/* products[n][volumes + 1][volumes] of the slices of a particle with each other, and in the last
   row with its image. */
CLONES void inner_products(grid g, particles all, int64_t volumes, const float *slices,
                           float *products) {
    const int64_t length = 2 * g.p, whole = length - length % WIDTH;
    for (int64_t i = 0; i < all.n; i++, slices += volumes * length) {
        for (int64_t a = 0; a <= volumes; a++) {
            const float *image = a < volumes ? slices + a * length : all.images + i * length;
            const int64_t last = a < volumes ? a : volumes - 1;
            for (int64_t b = 0; b <= last; b += HELD) {
                const float *other[HELD];
                float total[HELD] = {0};
                vec sum[HELD] = {0};
                for (int k = 0; k < HELD; k++)
                    other[k] = slices + (b + k < volumes ? b + k : volumes - 1) * length;
                for (int64_t t = 0; t < whole; t += WIDTH)
                    for (int k = 0; k < HELD; k++)
                        sum[k] += *(const vec *)(image + t) * *(const vec *)(other[k] + t);
                for (int k = 0; k < HELD && b + k <= last; k++) {
                    for (int w = 0; w < WIDTH; w++) total[k] += sum[k][w];
                    for (int64_t t = whole; t < length; t++) total[k] += image[t] * other[k][t];
                    products[a * volumes + b + k] = total[k];
                    if (a < volumes) products[(b + k) * volumes + a] = total[k];
                }
            }
        }
        products += (volumes + 1) * volumes;
    }
}

/* sums[v][width] += adjoint of the slices of residuals[n][volumes][p][2]. Room and values: as
   above. */
CLONES void insert_residuals(grid g, particles all, int64_t volumes, int64_t width, float *room,
                             float *values, const float *residuals, float *sums) {
    pixels q = lay_out(room, g.p);
    memset(values, 0, SOME * width * sizeof *values);
    for (int64_t i = 0; i < all.n; i++, residuals += volumes * 2 * g.p) {
        locate(g, all, i, q);
        for (int64_t from = 0; from < g.p; from += SOME) {
            const int64_t to = from + SOME < g.p ? from + SOME : g.p;
            for (int64_t c = 0; c < volumes; c++) {
                const float *residual = residuals + (c * g.p + from) * 2;
                float *re = values + c, *im = re + width / 2;
                for (int64_t j = 0; j < to - from; j++) {
                    re[j * width] = residual[2 * j];
                    im[j * width] = q.sign[from + j] * residual[2 * j + 1];
                }
            }
            for (int64_t j = from; j < to; j++) {
                const float *own = values + (j - from) * width;
                for (int c = 0; c < 4; c++)
                    fetch(sums + (int64_t)q.row[c][j + AHEAD] * width, width, 1);
                BY_OCTETS(scatter, own, sums)
            }
        }
    }
}

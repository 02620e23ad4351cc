/* Slicing and inserting particles from their poses, 16 classes at a time: no operator is stored.

   Rows of a volume are voxels of the half ball x >= 0 ordered by x, y, z, so that neighbours in z
   are neighbours in memory; row = columns[x][y] + z. Tables hold 16 real, then 16 imaginary parts
   a row; sums hold real part, imaginary part and denominator. Each class is a lane of its own:
   its numbers do not depend on what the other lanes hold. */
#include <math.h>
#include <stdint.h>
#include <string.h>

#define TILE 16
#define AHEAD 8 /* pixels whose voxels are fetched in advance */
#define WIDE 3  /* tiles that are summed up together */

typedef float vec __attribute__((vector_size(4 * TILE), aligned(4), may_alias));
typedef float quad __attribute__((vector_size(16), aligned(4), may_alias));
typedef int32_t bits __attribute__((vector_size(16), aligned(4), may_alias));

#if defined(__x86_64__) && defined(__GLIBC__) && defined(__GNUC__) && !defined(__clang__)
#if __GNUC__ >= 12
#define CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define CLONES __attribute__((target_clones("avx512f", "avx2", "default")))
#endif
#else
#define CLONES
#endif

const int64_t version = 2; /* of the functions' arguments, as in native.py */

typedef struct {
    int64_t p, edge, n_voxels;
    const float *plane;     /* [2][p] frequencies */
    const int32_t *columns; /* [edge][2 edge - 1] */
} grid;

typedef struct {
    int64_t n;
    const float *rotations; /* [n][3][3] */
    const float *images;    /* [n][p][2] */
    const float *weights;   /* [n][p] */
} particles;

/* Of one particle: row of the lower voxel of four pairs of neighbours in z, trilinear weight times
   pixel weight of eight voxels, and the image, folded to x >= 0. */
typedef struct {
    int32_t *row[4];
    float *weight[8], *re, *im;
} pixels;

/* Of a voxel: its last entry, and the particle that it is of. */
typedef struct {
    int32_t entry, particle;
} place;

static pixels lay_out(float *room, int64_t p) {
    pixels q;
    for (int c = 0; c < 8; c++) q.weight[c] = room + c * (p + AHEAD);
    q.re = room + 8 * (p + AHEAD), q.im = room + 9 * (p + AHEAD);
    for (int c = 0; c < 4; c++) q.row[c] = (int32_t *)(room + (10 + c) * (p + AHEAD));
    for (int c = 0; c < 4; c++) memset(q.row[c] + p, 0, AHEAD * sizeof(int32_t));
    return q;
}

/* Matrices that are not rotations stay inside the half ball's rows. */
static inline __attribute__((always_inline)) void locate(grid g, particles all, int64_t i,
                                                         pixels q) {
    const float *r = all.rotations + 9 * i, *weights = all.weights + g.p * i;
    const float *image = all.images + 2 * g.p * i;
    const float last = g.edge - 2, low = 1 - g.edge;
    const int32_t width = 2 * g.edge - 1, middle = g.edge - 1, end = g.n_voxels - 2;
    int32_t *restrict r00 = q.row[0], *restrict r10 = q.row[1], *restrict r01 = q.row[2],
            *restrict r11 = q.row[3];
    float *restrict w0 = q.weight[0], *restrict w1 = q.weight[1], *restrict w2 = q.weight[2],
          *restrict w3 = q.weight[3], *restrict w4 = q.weight[4], *restrict w5 = q.weight[5],
          *restrict w6 = q.weight[6], *restrict w7 = q.weight[7], *restrict re = q.re,
          *restrict im = q.im;
#pragma GCC ivdep
    for (int64_t j = 0; j < g.p; j++) {
        float kx = g.plane[j], ky = g.plane[g.p + j];
        float x = r[0] * kx + r[3] * ky, y = r[1] * kx + r[4] * ky, z = r[2] * kx + r[5] * ky;
        float sign = x < 0 ? -1.0f : 1.0f;
        re[j] = image[2 * j], im[j] = sign * image[2 * j + 1];
        x *= sign, y *= sign, z *= sign;
        float x0 = floorf(x), y0 = floorf(y), z0 = floorf(z);
        float fx = x - x0, fy = y - y0, fz = z - z0;
        x0 = x0 < last ? x0 : last;
        y0 = y0 > low ? (y0 < last ? y0 : last) : low;
        z0 = z0 > low ? (z0 < last ? z0 : last) : low;
        int32_t column = (int32_t)x0 * width + (int32_t)y0 + middle, up = (int32_t)z0;
        int32_t at;
        at = g.columns[column] + up, r00[j] = at < 0 ? 0 : at > end ? end : at;
        at = g.columns[column + width] + up, r10[j] = at < 0 ? 0 : at > end ? end : at;
        at = g.columns[column + 1] + up, r01[j] = at < 0 ? 0 : at > end ? end : at;
        at = g.columns[column + width + 1] + up, r11[j] = at < 0 ? 0 : at > end ? end : at;
        float a = weights[j] * (1 - fx), b = weights[j] * fx, pair;
        pair = a * (1 - fy), w0[j] = pair * (1 - fz), w1[j] = pair * fz;
        pair = b * (1 - fy), w2[j] = pair * (1 - fz), w3[j] = pair * fz;
        pair = a * fy, w4[j] = pair * (1 - fz), w5[j] = pair * fz;
        pair = b * fy, w6[j] = pair * (1 - fz), w7[j] = pair * fz;
    }
}

/* out[n][tiles][16] = sum over pixels of Re (F - P/2) conj(P). Room: 14 (p + AHEAD) floats. */
CLONES void log_likelihoods(grid g, particles all, int64_t n_tiles, float *room,
                            const float *tables, float *out) {
    pixels q = lay_out(room, g.p);
    for (int64_t i = 0; i < all.n; i++) {
        locate(g, all, i, q);
        for (int64_t t = 0; t < n_tiles; t++) {
            const float *table = tables + t * g.n_voxels * 2 * TILE;
            vec sum = {0};
            for (int64_t j = 0; j < g.p; j++) {
                vec re = {0}, im = {0};
                for (int c = 0; c < 4; c++) {
                    const float *coming = table + (int64_t)q.row[c][j + AHEAD] * 2 * TILE;
                    for (int line = 0; line < 4; line++) __builtin_prefetch(coming + 16 * line);
                    const vec *row = (const vec *)(table + (int64_t)q.row[c][j] * 2 * TILE);
                    re += q.weight[2 * c][j] * row[0] + q.weight[2 * c + 1][j] * row[2];
                    im += q.weight[2 * c][j] * row[1] + q.weight[2 * c + 1][j] * row[3];
                }
                sum += (q.re[j] - 0.5f * re) * re + (q.im[j] - 0.5f * im) * im;
            }
            *(vec *)(out + (i * n_tiles + t) * TILE) = sum;
        }
    }
}

/* starts[v]: entries of the voxels before v, starts[v] to starts[v + 1] being its own, one for each
   particle that touches it. Room: as above; marks: zeros [2][v]. */
CLONES void count_entries(grid g, particles all, float *room, uint8_t *marks, int32_t *starts) {
    pixels q = lay_out(room, g.p);
    const int32_t *r00 = q.row[0], *r10 = q.row[1], *r01 = q.row[2], *r11 = q.row[3];
    uint8_t *restrict touched = marks, *restrict counts = marks + g.n_voxels;
    memset(starts, 0, (g.n_voxels + 1) * sizeof *starts);
    for (int64_t i = 0; i < all.n; i++) {
        locate(g, all, i, q);
        for (int64_t j = 0; j < g.p; j++) {
            memset(touched + r00[j], 1, 2), memset(touched + r10[j], 1, 2);
            memset(touched + r01[j], 1, 2), memset(touched + r11[j], 1, 2);
        }
        for (int64_t v = 0; v < g.n_voxels; v++) counts[v] += touched[v], touched[v] = 0;
        if (i % 255 == 254 || i == all.n - 1) /* as far as a byte counts */
            for (int64_t v = 0; v < g.n_voxels; v++) starts[v + 1] += counts[v], counts[v] = 0;
    }
    for (int64_t v = 0; v < g.n_voxels; v++) starts[v + 1] += starts[v];
}

/* Entries of the voxels times posteriors, some tiles at once: a voxel is written once, what its
   particles add having been summed up in their order. */
static inline __attribute__((always_inline)) void add_up(int64_t n_voxels, int64_t n_tiles,
                                                         int64_t t, const int wide,
                                                         const int32_t *starts,
                                                         const quad *entries,
                                                         const float *posteriors, float *sums) {
    for (int64_t v = 0, e = 0; v < n_voxels; v++) {
        vec re[WIDE] = {0}, im[WIDE] = {0}, weight[WIDE] = {0};
        if (e == starts[v + 1]) continue;
        for (; e < starts[v + 1]; e++) {
            quad entry = entries[e];
            const vec *p = (const vec *)(posteriors + ((int64_t)entry[3] * n_tiles + t) * TILE);
            for (int k = 0; k < wide; k++)
                re[k] += entry[0] * p[k], im[k] += entry[1] * p[k], weight[k] += entry[2] * p[k];
        }
        for (int k = 0; k < wide; k++) {
            vec *row = (vec *)(sums + ((t + k) * n_voxels + v) * 3 * TILE);
            row[0] += re[k], row[1] += im[k], row[2] += weight[k];
        }
    }
}

/* sums[tiles][v][3][16] += posteriors * (w F, w^2). What a particle adds to a voxel is merged in
   one entry: real part, imaginary part, denominator, particle. Starts: as counted for these
   particles. Room: as above; places: [v]; entries: [starts[v]]. */
CLONES void insert(grid g, particles all, int64_t n_tiles, float *room, const int32_t *starts,
                   place *places, quad *entries, const float *posteriors, float *sums) {
    pixels q = lay_out(room, g.p);
    for (int64_t v = 0; v < g.n_voxels; v++) places[v] = (place){starts[v] - 1, -1};
    for (int32_t i = 0; i < all.n; i++) {
        const float *weights = all.weights + g.p * i, particle = i;
        locate(g, all, i, q);
        for (int64_t j = 0; j < g.p; j++) {
            quad value = {q.re[j], q.im[j], weights[j], 0};
            for (int c = 0; c < 8; c++) {
                const place *at = places + q.row[c / 2][j + AHEAD] + (int64_t)(c & 1);
                __builtin_prefetch(entries + at->entry + 1, 1);
            }
            for (int c = 0; c < 8; c++) {
                place *at = places + q.row[c / 2][j] + (int64_t)(c & 1);
                int32_t touched = -(at->particle == i); /* all bits, or none */
                quad *entry = entries + (at->entry += touched + 1);
                quad merged = (quad)((bits)*entry & (bits){touched, touched, touched, touched});
                merged += q.weight[c][j] * value;
                merged[3] = particle;
                *entry = merged;
                at->particle = i;
            }
        }
    }
    for (int64_t t = 0, left; (left = n_tiles - t) > 0; t += WIDE) {
        if (left >= WIDE) add_up(g.n_voxels, n_tiles, t, WIDE, starts, entries, posteriors, sums);
        else if (left == 2) add_up(g.n_voxels, n_tiles, t, 2, starts, entries, posteriors, sums);
        else add_up(g.n_voxels, n_tiles, t, 1, starts, entries, posteriors, sums);
    }
}

/* Slicing and inserting particles from their poses, 16 classes at a time.

   Tables hold 16 real, then 16 imaginary parts a row; sums hold real part, imaginary part and
   denominator. Each class is a lane of its own: its numbers do not depend on what the other lanes
   hold. */
#include "locate.h"

#define TILE 16
#define WIDE 3 /* tiles that are summed up together */

typedef float vec __attribute__((vector_size(4 * TILE), aligned(4), may_alias));
typedef float quad __attribute__((vector_size(16), aligned(4), may_alias));
typedef int32_t bits __attribute__((vector_size(16), aligned(4), may_alias));

const int64_t version = 3; /* of the functions' arguments, as in native.py */

/* Of a voxel: its last entry, and the particle that it is of. */
typedef struct {
    int32_t entry, particle;
} place;

/* out[n][tiles][16] = sum over pixels of Re (F - P/2) conj(P). Room: ROOM (p + AHEAD) floats. */
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
INLINE void add_up(int64_t n_voxels, int64_t n_tiles, int64_t t, const int wide,
                   const int32_t *starts, const quad *entries, const float *posteriors,
                   float *sums) {
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

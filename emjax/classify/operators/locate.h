/* Where the pixels of particles lie in the half ball, from their poses: no operator is stored.

   Rows of a volume are voxels of the half ball x >= 0 ordered by x, y, z, so that neighbours in z
   are neighbours in memory; row = columns[x][y] + z. */
#ifndef LOCATE_H
#define LOCATE_H
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "../../imaging/clones.h"

#define AHEAD 8 /* pixels whose voxels are fetched in advance */
#define ROOM 15 /* times p + AHEAD floats that the pixels of a particle are laid out in */
#define INLINE static inline __attribute__((always_inline))

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
   pixel weight of eight voxels, the image, folded to x >= 0, and the sign of its imaginary parts. */
typedef struct {
    int32_t *row[4];
    float *weight[8], *re, *im, *sign;
} pixels;

static inline pixels lay_out(float *room, int64_t p) {
    pixels q;
    for (int c = 0; c < 8; c++) q.weight[c] = room + c * (p + AHEAD);
    q.re = room + 8 * (p + AHEAD), q.im = room + 9 * (p + AHEAD);
    q.sign = room + 10 * (p + AHEAD);
    for (int c = 0; c < 4; c++) q.row[c] = (int32_t *)(room + (11 + c) * (p + AHEAD));
    for (int c = 0; c < 4; c++) memset(q.row[c] + p, 0, AHEAD * sizeof(int32_t));
    return q;
}

/* Matrices that are not rotations stay inside the half ball's rows. */
INLINE void locate(grid g, particles all, int64_t i, pixels q) {
    const float *r = all.rotations + 9 * i, *weights = all.weights + g.p * i;
    const float *image = all.images + 2 * g.p * i;
    const float last = g.edge - 2, low = 1 - g.edge;
    const int32_t width = 2 * g.edge - 1, middle = g.edge - 1, end = g.n_voxels - 2;
    int32_t *restrict r00 = q.row[0], *restrict r10 = q.row[1], *restrict r01 = q.row[2],
            *restrict r11 = q.row[3];
    float *restrict w0 = q.weight[0], *restrict w1 = q.weight[1], *restrict w2 = q.weight[2],
          *restrict w3 = q.weight[3], *restrict w4 = q.weight[4], *restrict w5 = q.weight[5],
          *restrict w6 = q.weight[6], *restrict w7 = q.weight[7], *restrict re = q.re,
          *restrict im = q.im, *restrict signs = q.sign;
#pragma GCC ivdep
    for (int64_t j = 0; j < g.p; j++) {
        float kx = g.plane[j], ky = g.plane[g.p + j];
        float x = r[0] * kx + r[3] * ky, y = r[1] * kx + r[4] * ky, z = r[2] * kx + r[5] * ky;
        float sign = x < 0 ? -1.0f : 1.0f;
        re[j] = image[2 * j], im[j] = sign * image[2 * j + 1], signs[j] = sign;
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

#endif

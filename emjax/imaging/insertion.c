/* Adding particles to a table of sums [edge][2 edge - 1][2 edge - 1][3]: x >= 0, y and z centred;
   real part, imaginary part and weight of a voxel side by side. */
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "clones.h"

#define AHEAD 16 /* pixels whose voxels are fetched in advance */

typedef float quad __attribute__((vector_size(16), aligned(4), may_alias));
typedef float pair __attribute__((vector_size(8), aligned(4), may_alias));

const int64_t version = 1; /* of the functions' arguments, as in insertion.py */

/* table += Pt (w F), Pt P w^2 of n particles of p pixels each. Plane: [2][p] frequencies in voxels;
   rotations: [n][3][3]; images: [n][p][2]; weights: [n][p]; room: 7 (p + AHEAD) floats. Matrices
   that are not rotations stay inside the table. */
CLONES void insert_images(int64_t n, int64_t p, int64_t edge, const float *plane,
                          const float *rotations, const float *images, const float *weights,
                          float *room, float *table) {
    const int64_t size = p + AHEAD, across = 3 * (2 * edge - 1), along = across * (2 * edge - 1);
    const float last = edge - 2, low = 1 - edge;
    int32_t *restrict start = (int32_t *)room;
    float *restrict fx = room + size, *restrict fy = fx + size, *restrict fz = fy + size,
          *restrict re = fz + size, *restrict im = re + size, *restrict power = im + size;
    memset(start + p, 0, AHEAD * sizeof *start);
    for (int64_t i = 0; i < n; i++) {
        const float *r = rotations + 9 * i, *w = weights + p * i, *image = images + 2 * p * i;
#pragma GCC ivdep
        for (int64_t j = 0; j < p; j++) {
            float kx = plane[j], ky = plane[p + j];
            float x = r[0] * kx + r[3] * ky, y = r[1] * kx + r[4] * ky, z = r[2] * kx + r[5] * ky;
            float sign = x < 0 ? -1.0f : 1.0f;
            re[j] = w[j] * image[2 * j], im[j] = sign * w[j] * image[2 * j + 1];
            power[j] = w[j] * w[j];
            x *= sign, y *= sign, z *= sign;
            float x0 = floorf(x), y0 = floorf(y), z0 = floorf(z);
            fx[j] = x - x0, fy[j] = y - y0, fz[j] = z - z0;
            x0 = x0 < last ? x0 : last;
            y0 = y0 > low ? (y0 < last ? y0 : last) : low;
            z0 = z0 > low ? (z0 < last ? z0 : last) : low;
            start[j] = (int32_t)x0 * (int32_t)along + ((int32_t)y0 + (int32_t)edge - 1) *
                       (int32_t)across + 3 * ((int32_t)z0 + (int32_t)edge - 1);
        }
        for (int64_t j = 0; j < p; j++) {
            const float *coming = table + start[j + AHEAD];
            for (int c = 0; c < 4; c++)
                __builtin_prefetch(coming + (c & 1) * across + (c >> 1) * along, 1);
            float *at = table + start[j], gz = 1 - fz[j];
            /* Two neighbours in z lie side by side. */
            quad first = {re[j] * gz, im[j] * gz, power[j] * gz, re[j] * fz[j]};
            pair rest = {im[j] * fz[j], power[j] * fz[j]};
            for (int c = 0; c < 4; c++) {
                float *voxel = at + (c & 1) * across + (c >> 1) * along;
                float share = (c & 1 ? fy[j] : 1 - fy[j]) * (c >> 1 ? fx[j] : 1 - fx[j]);
                *(quad *)voxel += share * first;
                *(pair *)(voxel + 4) += share * rest;
            }
        }
    }
}

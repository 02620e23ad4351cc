/* Slicing and inserting particles from their poses, 16 classes at a time: no operator is stored.

   Rows of a volume are voxels of the half ball x >= 0 ordered by x, y, z, so that neighbours in z
   are neighbours in memory; row = columns[x][y] + z. Tables hold 16 real, then 16 imaginary parts
   a row; sums hold real part, imaginary part and denominator. Each class is a lane of its own:
   its numbers do not depend on what the other lanes hold. */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define TILE 16
#define AHEAD 8 /* pixels whose voxels are fetched in advance */

typedef float vec __attribute__((vector_size(4 * TILE), aligned(4), may_alias));
typedef float quad __attribute__((vector_size(16), aligned(4), may_alias));

#if defined(__x86_64__) && defined(__linux__) && defined(__GNUC__) && !defined(__clang__)
#define CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define CLONES
#endif

typedef struct {
    int64_t p, edge, n_voxels;
    const float *plane;     /* [p][2] frequencies */
    const int32_t *columns; /* [edge][2 edge - 1] */
} grid;

typedef struct {
    int64_t n;
    const float *rotations; /* [n][3][3] */
    const float *images;    /* [n][p][2] */
    const float *weights;   /* [n][p] */
} particles;

typedef struct {
    int32_t row[4];   /* of the lower voxel of four pairs of neighbours in z */
    float weight[8];  /* trilinear weight times pixel weight */
    float re, im, pixel_weight;
} pixel;

/* Where the pixels of particle i lie, folded to x >= 0; poses that are no rotations stay inside. */
static inline __attribute__((always_inline)) void locate(grid g, particles all, int64_t i,
                                                         pixel *pixels) {
    const float *r = all.rotations + 9 * i, *weights = all.weights + g.p * i;
    const float *image = all.images + 2 * g.p * i;
    const float last_x = g.edge - 2, low = 1 - g.edge, high = g.edge - 2;
    for (int64_t j = 0; j < g.p; j++) {
        float kx = g.plane[2 * j], ky = g.plane[2 * j + 1];
        float x = r[0] * kx + r[3] * ky, y = r[1] * kx + r[4] * ky, z = r[2] * kx + r[5] * ky;
        float sign = x < 0 ? -1.0f : 1.0f;
        x *= sign, y *= sign, z *= sign;
        float x0 = floorf(x), y0 = floorf(y), z0 = floorf(z);
        float fx = x - x0, fy = y - y0, fz = z - z0;
        x0 = x0 < last_x ? x0 : last_x;
        y0 = y0 > low ? (y0 < high ? y0 : high) : low;
        int32_t first = (int32_t)x0 * (2 * g.edge - 1) + (int32_t)y0 + g.edge - 1;
        pixel *q = pixels + j;
        for (int c = 0; c < 4; c++) {
            int64_t row = g.columns[first + (c & 1) * (2 * g.edge - 1) + (c >> 1)] + (int64_t)z0;
            q->row[c] = row < 0 ? 0 : row > g.n_voxels - 2 ? g.n_voxels - 2 : row;
            float pair = weights[j] * (c & 1 ? fx : 1 - fx) * (c >> 1 ? fy : 1 - fy);
            q->weight[2 * c] = pair * (1 - fz);
            q->weight[2 * c + 1] = pair * fz;
        }
        q->re = image[2 * j], q->im = sign * image[2 * j + 1], q->pixel_weight = weights[j];
    }
}

/* out[n][tiles][16] = sum over pixels of Re (F - P/2) conj(P). */
CLONES int log_likelihoods(grid g, particles all, int64_t n_tiles, const float *tables,
                           float *out) {
    pixel *pixels = calloc(g.p + AHEAD, sizeof(pixel));
    if (!pixels) return 1;
    for (int64_t i = 0; i < all.n; i++) {
        locate(g, all, i, pixels);
        for (int64_t t = 0; t < n_tiles; t++) {
            const float *table = tables + t * g.n_voxels * 2 * TILE;
            vec sum = {0};
            for (const pixel *q = pixels; q < pixels + g.p; q++) {
                vec re = {0}, im = {0};
                for (int c = 0; c < 4; c++) {
                    const float *coming = table + (int64_t)q[AHEAD].row[c] * 2 * TILE;
                    for (int line = 0; line < 4; line++) __builtin_prefetch(coming + 16 * line);
                    const vec *row = (const vec *)(table + (int64_t)q->row[c] * 2 * TILE);
                    re += q->weight[2 * c] * row[0] + q->weight[2 * c + 1] * row[2];
                    im += q->weight[2 * c] * row[1] + q->weight[2 * c + 1] * row[3];
                }
                sum += (q->re - 0.5f * re) * re + (q->im - 0.5f * im) * im;
            }
            *(vec *)(out + (i * n_tiles + t) * TILE) = sum;
        }
    }
    free(pixels);
    return 0;
}

/* sums[tiles][v][3][16] += posteriors * (w F, w^2). What a particle adds to a voxel is merged, then
   ordered by voxel: each voxel is written once, its particles added in their order. */
CLONES int insert(grid g, particles all, int64_t n_tiles, const float *posteriors, float *sums) {
    int64_t most = 8 * g.p * all.n, m = 0;
    pixel *pixels = calloc(g.p + AHEAD, sizeof(pixel));
    quad *own = calloc(g.n_voxels, sizeof(quad)), *found = malloc(most * sizeof(quad));
    quad *sorted = malloc(most * sizeof(quad));
    int32_t *voxel = malloc((most + 1) * sizeof(int32_t));
    int64_t *end = calloc(g.n_voxels + 1, sizeof(int64_t));
    int failed = !(pixels && own && found && sorted && voxel && end);
    for (int64_t i = 0; i < all.n && !failed; i++) {
        int64_t start = m;
        locate(g, all, i, pixels);
        for (const pixel *q = pixels; q < pixels + g.p; q++) {
            quad value = {q->re, q->im, q->pixel_weight, 0};
            for (int c = 0; c < 8; c++) {
                int32_t v = q->row[c / 2] + (c & 1);
                quad s = own[v] + q->weight[c] * value;
                voxel[m] = v;
                m += own[v][3] == 0;
                s[3] = 1;
                own[v] = s;
            }
        }
        for (int64_t e = start; e < m; e++) {
            int32_t particle = i;
            found[e] = own[voxel[e]];
            memcpy((float *)(found + e) + 3, &particle, sizeof particle);
            own[voxel[e]] = (quad){0};
            end[voxel[e] + 1]++;
        }
    }
    if (!failed) {
        for (int64_t v = 0; v < g.n_voxels; v++) end[v + 1] += end[v];
        /* Each entry moves the start of its voxel on; in the end it is the voxel's end. */
        for (int64_t e = 0; e < m; e++) sorted[end[voxel[e]]++] = found[e];
    }
    for (int64_t t = 0; t < n_tiles && !failed; t++)
        for (int64_t v = 0, e = 0; v < g.n_voxels; v++) {
            if (e == end[v]) continue;
            vec *row = (vec *)(sums + (t * g.n_voxels + v) * 3 * TILE);
            vec re = {0}, im = {0}, weight = {0};
            for (; e < end[v]; e++) {
                int32_t particle;
                memcpy(&particle, (float *)(sorted + e) + 3, sizeof particle);
                vec p = *(const vec *)(posteriors + (particle * n_tiles + t) * TILE);
                re += sorted[e][0] * p, im += sorted[e][1] * p, weight += sorted[e][2] * p;
            }
            row[0] += re, row[1] += im, row[2] += weight;
        }
    free(pixels), free(own), free(found), free(sorted), free(voxel), free(end);
    return failed;
}

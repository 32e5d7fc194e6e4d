/* Binary convolutions by XNOR and population count, and the little around them.
 *
 * Maps are float32 in the order height, width, channels; signs are one bit a channel, 1 for a value at or above its
 * threshold, in a frame of zeros one pixel wide. Every product and sum rounds as IEEE 754 says and nothing is
 * contracted, so that the results are those of the same steps elsewhere, to the bit.
 */
#include <math.h>
#include <stdint.h>
#include <string.h>

#if defined(__AVX512F__) || defined(__AVX512VPOPCNTDQ__)
#include <immintrin.h>
#endif

#define MAX_WORDS 48   /* of a 3 x 3 patch: 1024 channels */
#define MAX_FILTERS 1024

/* 3: vectors of population counts, 2: one instruction for a word, 1: neither */
int offramp_level(void) {
#if defined(__AVX512VPOPCNTDQ__)
    return 3;
#elif defined(__POPCNT__) || defined(__aarch64__)
    return 2;
#else
    return 1;
#endif
}

/* signs: (height + 2) x (width + 2) x channels / 8 bytes, channels a multiple of 8 */
void offramp_pack_signs(const float *x, const float *threshold, int height, int width, int channels, uint8_t *signs) {
    const int bytes = channels / 8;
    const int64_t row = (int64_t)(width + 2) * bytes;
    memset(signs, 0, (size_t)row);
    memset(signs + (height + 1) * row, 0, (size_t)row);
    for (int y = 0; y < height; y++) {
        uint8_t *to = signs + (y + 1) * row;
        memset(to, 0, (size_t)bytes);
        memset(to + (int64_t)(width + 1) * bytes, 0, (size_t)bytes);
        to += bytes;
        for (int p = 0; p < width; p++) {
            int c = 0;
#if defined(__AVX512F__)
            for (; c + 16 <= channels; c += 16) {
                const __mmask16 m = _mm512_cmp_ps_mask(_mm512_loadu_ps(x + c), _mm512_loadu_ps(threshold + c), _CMP_GE_OQ);
                const uint16_t bits = (uint16_t)m;
                memcpy(to + c / 8, &bits, 2);
            }
#endif
            for (; c < channels; c += 8) {
                unsigned bits = 0;
                for (int i = 0; i < 8; i++) bits |= (unsigned)(x[c + i] >= threshold[c + i]) << i;
                to[c / 8] = (uint8_t)bits;
            }
            x += channels;
            to += bytes;
        }
    }
}

/* What a tap outside the image must be credited, since its signs read as -1. */
static void credit(int32_t *restrict dots, const int32_t *tap_sums, int filters, int y, int x, int height, int width) {
    for (int ky = 0; ky < 3; ky++)
        for (int kx = 0; kx < 3; kx++) {
            const int yy = y + ky - 1, xx = x + kx - 1;
            if (yy >= 0 && yy < height && xx >= 0 && xx < width) continue;
            const int32_t *sums = tap_sums + (ky * 3 + kx) * filters;
            for (int o = 0; o < filters; o++) dots[o] += sums[o];
        }
}

/* What is known of a layer before it runs; all arrays live as long as it does.
 *
 * weights: of a binary layer 3 * words x filters, each word 64 bits of a kernel row, its three taps one behind the
 * other; of one on a grid k x k x channels x filters floats
 * tap_sums: 9 x filters, the sum of a tap's weights
 * factor, shift, bias: filters each, or null; leak: values below zero are multiplied by it
 */
typedef struct {
    int32_t channels, filters, stride, k;
    const float *threshold;
    const void *weights;
    const int32_t *tap_sums;
    const float *scale, *factor, *shift, *bias;
    float leak, grid;
} layer;

static void finish(const layer *l, const int32_t *dots, const float *added, float *restrict out) {
    for (int o = 0; o < l->filters; o++) {
        float value = ((float)dots[o] * l->scale[o]) * l->factor[o] + l->shift[o];
        if (added) value = value + added[o];
        out[o] = value < 0.0f ? value * l->leak : value;
    }
}

static void one_pixel(const layer *l, const uint64_t *patch, int words, int32_t *restrict dots) {
    const uint64_t *weights = l->weights;
    const int32_t taps = 9 * l->channels;
    for (int o = 0; o < l->filters; o++) {
        int count = 0;
        for (int w = 0; w < words; w++) count += __builtin_popcountll(patch[w] ^ weights[(int64_t)w * l->filters + o]);
        dots[o] = taps - 2 * count;
    }
}

#if defined(__AVX512VPOPCNTDQ__) && defined(__AVX512DQ__)
#define IN_VECTORS 1
/* 16 filters of a pixel, finished in registers. */
static inline __attribute__((always_inline)) void sixteen(const layer *l, const uint64_t *patch, int words, int o,
                                                          const int32_t *extra, const float *added, float *out) {
    const uint64_t *at = (const uint64_t *)l->weights + o;
    __m512i one = _mm512_setzero_si512(), two = _mm512_setzero_si512();
    for (int w = 0; w < words; w++, at += l->filters) {
        const __m512i p = _mm512_set1_epi64((long long)patch[w]);
        one = _mm512_add_epi64(one, _mm512_popcnt_epi64(_mm512_xor_si512(p, _mm512_loadu_si512(at))));
        two = _mm512_add_epi64(two, _mm512_popcnt_epi64(_mm512_xor_si512(p, _mm512_loadu_si512(at + 8))));
    }
    const __m512i counts =
        _mm512_inserti64x4(_mm512_castsi256_si512(_mm512_cvtepi64_epi32(one)), _mm512_cvtepi64_epi32(two), 1);
    __m512i dots = _mm512_sub_epi32(_mm512_set1_epi32(9 * l->channels), _mm512_slli_epi32(counts, 1));
    if (extra) dots = _mm512_add_epi32(dots, _mm512_loadu_si512(extra + o));
    __m512 value = _mm512_mul_ps(_mm512_cvtepi32_ps(dots), _mm512_loadu_ps(l->scale + o));
    value = _mm512_add_ps(_mm512_mul_ps(value, _mm512_loadu_ps(l->factor + o)), _mm512_loadu_ps(l->shift + o));
    if (added) value = _mm512_add_ps(value, _mm512_loadu_ps(added + o));
    const __mmask16 below = _mm512_cmp_ps_mask(value, _mm512_setzero_ps(), _CMP_LT_OQ);
    _mm512_storeu_ps(out + o, _mm512_mask_mul_ps(value, below, value, _mm512_set1_ps(l->leak)));
}
#else
#define IN_VECTORS 0
#endif

static inline uint64_t word(const uint8_t *at) {
    uint64_t found;
    memcpy(&found, at, 8);
    return found;
}

/* The three kernel rows of a patch as words; reads up to 7 bytes behind the last row. */
static inline void gather(const uint8_t *corner, int64_t row, int bytes, int words, uint64_t *patch) {
    if (bytes == 2) {
        for (int k = 0; k < 3; k++) patch[k] = word(corner + k * row) & 0xffffffffffffULL;
    } else if (bytes == 4) {
        for (int k = 0; k < 3; k++) {
            patch[2 * k] = word(corner + k * row);
            patch[2 * k + 1] = word(corner + k * row + 8) & 0xffffffffULL;
        }
    } else if (bytes == 8) {
        for (int k = 0; k < 3; k++)
            for (int w = 0; w < 3; w++) patch[3 * k + w] = word(corner + k * row + 8 * w);
    } else {
        for (int k = 0; k < 3; k++) memcpy(patch + k * words, corner + k * row, (size_t)(3 * bytes));
    }
}

static inline __attribute__((always_inline)) void all_pixels(const layer *l, const uint8_t *signs, int height,
                                                             int width, int bytes, int words, const float *added,
                                                             float *out) {
    const int64_t row = (int64_t)(width + 2) * bytes;
    const int filters = l->filters, stride = l->stride;
    uint64_t patch[MAX_WORDS] = {0};
    int32_t dots[MAX_FILTERS];
    for (int y = 0; y < height; y += stride)
        for (int p = 0; p < width; p += stride, out += filters) {
            const int border = y == 0 || p == 0 || y == height - 1 || p == width - 1;
            gather(signs + y * row + (int64_t)p * bytes, row, bytes, words, patch);
#if IN_VECTORS
            if (filters % 16 == 0) {
                if (border) {
                    memset(dots, 0, sizeof(int32_t) * (size_t)filters);
                    credit(dots, l->tap_sums, filters, y, p, height, width);
                    for (int o = 0; o < filters; o += 16) sixteen(l, patch, 3 * words, o, dots, added, out);
                } else {
                    for (int o = 0; o < filters; o += 16) sixteen(l, patch, 3 * words, o, 0, added, out);
                }
                if (added) added += filters;
                continue;
            }
#endif
            one_pixel(l, patch, 3 * words, dots);
            if (border) credit(dots, l->tap_sums, filters, y, p, height, width);
            finish(l, dots, added, out);
            if (added) added += filters;
        }
}

/* A 3 x 3 convolution of signs: sums of products of -1 and 1, times scale; then factor, shift, what is added (or
 * null) and a leak below zero.
 *
 * signs: room for a frame and 8 bytes; added, out: height / stride x width / stride x filters
 */
int offramp_binary_conv(const layer *l, const float *x, int height, int width, const float *added, uint8_t *signs,
                        float *out) {
    const int bytes = l->channels / 8, words = (3 * l->channels + 63) / 64;
    if (3 * words > MAX_WORDS || l->filters > MAX_FILTERS || l->channels % 8) return 1;
    offramp_pack_signs(x, l->threshold, height, width, l->channels, signs);
    if (bytes == 2) all_pixels(l, signs, height, width, 2, 1, added, out);
    else if (bytes == 4) all_pixels(l, signs, height, width, 4, 2, added, out);
    else if (bytes == 8) all_pixels(l, signs, height, width, 8, 3, added, out);
    else all_pixels(l, signs, height, width, bytes, words, added, out);
    return 0;
}

/* Filters in blocks that stay in registers, eight pixels of a row at a time. */
#define BLOCK 16
#define ACROSS 8

#if defined(__AVX512F__)
/* The usual case in registers; the sums have no rounding, so fusing changes nothing. */
static inline void full_grid_block(const layer *l, const float *frame, int wide, int step, int o, float *sums) {
    const float *w = (const float *)l->weights + o;
    __m512 acc[ACROSS];
    for (int a = 0; a < ACROSS; a++) acc[a] = _mm512_setzero_ps();
    for (int ky = 0; ky < l->k; ky++)
        for (int kx = 0; kx < l->k; kx++) {
            const float *from = frame + ((int64_t)ky * wide + kx) * l->channels;
            for (int c = 0; c < l->channels; c++, w += l->filters) {
                const __m512 weight = _mm512_loadu_ps(w);
                for (int a = 0; a < ACROSS; a++)
                    acc[a] = _mm512_fmadd_ps(_mm512_set1_ps(from[(int64_t)a * step + c]), weight, acc[a]);
            }
        }
    for (int a = 0; a < ACROSS; a++) _mm512_storeu_ps(sums + a * BLOCK, acc[a]);
}
#endif

static inline void grid_block(const layer *l, const float *frame, int wide, int step, int o, int n, int across,
                              float *restrict sums) {
#if defined(__AVX512F__)
    if (n == BLOCK && across == ACROSS) {
        full_grid_block(l, frame, wide, step, o, sums);
        return;
    }
#endif
    const float *w = (const float *)l->weights + o;
    float acc[ACROSS][BLOCK] = {{0}};
    for (int ky = 0; ky < l->k; ky++)
        for (int kx = 0; kx < l->k; kx++) {
            const float *from = frame + ((int64_t)ky * wide + kx) * l->channels;
            for (int c = 0; c < l->channels; c++, w += l->filters)
                for (int a = 0; a < across; a++)
                    for (int i = 0; i < n; i++) acc[a][i] += from[(int64_t)a * step + c] * w[i];
        }
    for (int a = 0; a < across; a++)
        for (int i = 0; i < n; i++) sums[a * BLOCK + i] = acc[a][i];
}

static inline void ended(const layer *l, float *restrict sums, int o, int n, float *restrict out) {
    const float leak = l->leak;
    if (l->bias)
        for (int i = 0; i < n; i++) sums[i] = sums[i] + l->bias[o + i];
    if (l->factor)
        for (int i = 0; i < n; i++) sums[i] = sums[i] * l->factor[o + i] + l->shift[o + i];
    for (int i = 0; i < n; i++) out[i] = sums[i] < 0.0f ? sums[i] * leak : sums[i];
}

/* A k x k convolution of full precision whose inputs are rounded to a grid; k odd, zeros around.
 *
 * frame: room for (height + k - 1) x (width + k - 1) x channels floats
 */
int offramp_grid_conv(const layer *l, const float *x, int height, int width, float *frame, float *out) {
    const int edge = l->k / 2, wide = width + 2 * edge, c = l->channels, filters = l->filters;
    const float back = 1.0f / l->grid;
    float sums[ACROSS * BLOCK];
    memset(frame, 0, sizeof(float) * (size_t)(height + 2 * edge) * wide * c);
    for (int y = 0; y < height; y++) {
        float *restrict to = frame + ((int64_t)(y + edge) * wide + edge) * c;
        const float *from = x + (int64_t)y * width * c;
        for (int i = 0; i < width * c; i++) to[i] = rintf(from[i] * l->grid) * back;
    }
    const int across_all = (width + l->stride - 1) / l->stride, step = l->stride * c;
    for (int y = 0; y < height; y += l->stride)
        for (int p = 0; p < across_all; p += ACROSS) {
            const float *corner = frame + ((int64_t)y * wide + (int64_t)p * l->stride) * c;
            const int across = across_all - p < ACROSS ? across_all - p : ACROSS;
            for (int o = 0; o < filters; o += BLOCK) {
                const int n = filters - o < BLOCK ? filters - o : BLOCK;
                grid_block(l, corner, wide, step, o, n, across, sums);
                for (int a = 0; a < across; a++)
                    ended(l, sums + a * BLOCK, o, n, out + (int64_t)a * filters + o);
            }
            out += (int64_t)across * filters;
        }
    return 0;
}

/* One convolution of a row of them; places count floats from the beginning of the workspace, -1 is none. */
typedef struct {
    const layer *l;
    int32_t binary, height, width;
    int64_t input, added, out;
} call;

/* All of them, one after the other; scratch: where frames may lie. */
int offramp_run(const call *calls, int count, float *workspace, int64_t scratch) {
    for (int i = 0; i < count; i++) {
        const call *c = calls + i;
        const float *x = workspace + c->input, *added = c->added < 0 ? 0 : workspace + c->added;
        float *out = workspace + c->out, *room = workspace + scratch;
        const int failed = c->binary ? offramp_binary_conv(c->l, x, c->height, c->width, added, (uint8_t *)room, out)
                                     : offramp_grid_conv(c->l, x, c->height, c->width, room, out);
        if (failed) return failed;
    }
    return 0;
}

/* Ranks of relevant rows, compiled once for each instruction set. SPDX-License-Identifier: MIT
 *
 * The relevant scores are sorted: a counting sort by equal parts of their range, then by insertion. Its table says for each part how many of them are nearer, and
 * whether one may be within reach; all other rows only look there. Sorting all rows costs five times as much. Where only the first places matter, rows surely behind
 * them are left out at first: at least `top` rows have a score of `least` or more, so one below least - reach comes after them. */
#include "core/kernels/pack.h"
#include "core/kernels/rank.h"

#include <lsengine/knn.h>

#include <math.h>
#include <string.h>

#if defined(__AVX2__)
#include <immintrin.h>
#endif

#define LS_PASTE_(a, b) a##b
#define LS_PASTE(a, b) LS_PASTE_(a, b)
#define LS_RANK_NAME LS_PASTE(ls_rank_, LS_ISA)
#define LS_CANDIDATES_NAME LS_PASTE(ls_rank_candidates_, LS_ISA)
#define LS_DRAW_NAME LS_PASTE(ls_rank_draw_, LS_ISA)
#define LS_NEAR_NAME LS_PASTE(ls_near_, LS_ISA)

enum { DOUBT = 0x8000, AT_ONCE = 256, SAMPLE = 512 };

typedef struct scale {
  float most, inverse, last;
} scale;

/* Parts of the range, the nearest first: 0 is above it, the last below. Never decreasing as s falls. */
static inline int32_t part_of(scale c, float s) {
  float part = (c.most - s) * c.inverse + 1.0f;
  part = part < 0.0f ? 0.0f : part;
  part = part < c.last ? part : c.last;
  return (int32_t)part;
}

#if defined(__AVX2__) && !defined(__AVX512F__)
static inline uint32_t from_least(const float *score, float least) {
  return (uint32_t)_mm256_movemask_ps(_mm256_cmp_ps(_mm256_loadu_ps(score), _mm256_set1_ps(least), _CMP_GE_OQ));
}
#endif

/* Of the n scores those from `least` on, and their places: `places` says them, or NULL: consecutive ones from `first` on. Added after `count`; returns how many there are
 * then. Whole vectors are stored. In place: kept = score and row = places, with count 0. */
static int32_t keep(const float *score, const int32_t *places, int32_t first, int32_t n, float least, float *kept, int32_t *row, int32_t count) {
  int32_t i = 0;
#if defined(__AVX512F__)
  __m512i counting = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
  for (; i + 16 <= n; i += 16) {
    __m512 s = _mm512_loadu_ps(score + i);
    __mmask16 some = _mm512_cmp_ps_mask(s, _mm512_set1_ps(least), _CMP_GE_OQ);
    if (some == 0) continue;
    __m512i place = places != NULL ? _mm512_loadu_si512(places + i) : _mm512_add_epi32(_mm512_set1_epi32(first + i), counting);
    _mm512_storeu_ps(kept + count, _mm512_maskz_compress_ps(some, s));
    _mm512_storeu_si512(row + count, _mm512_maskz_compress_epi32(some, place));
    count += __builtin_popcount(some);
  }
#elif defined(__AVX2__)
  while (i + 16 <= n) { /* first where there are any: which vectors have one cannot be foreseen, and a branch for each costs more */
    int32_t some[AT_ONCE], found = 0;
    for (int32_t b = 0; b < AT_ONCE && i + 16 <= n; b++, i += 16) {
      some[found] = i;
      found += (from_least(score + i, least) | from_least(score + i + 8, least)) != 0;
    }
    for (int32_t b = 0; b < 2 * found; b++) {
      int32_t at = some[b / 2] + b % 2 * 8;
      __m256 v = _mm256_loadu_ps(score + at);
      uint32_t bits = from_least(score + at, least);
      count += places != NULL ? ls_pack8(v, _mm256_loadu_si256((const __m256i *)(const void *)(places + at)), bits, kept + count, row + count)
                              : ls_pack8_from(v, first + at, bits, kept + count, row + count);
    }
  }
#endif
  for (; i < n; i++) {
    bool stays = score[i] >= least;
    kept[count] = score[i];
    row[count] = places != NULL ? places[i] : first + i;
    count += stays;
  }
  return count;
}

enum { LANES = 32 };

/* Smallest and largest of n numbers, the smallest of those above -1e37. Lane by lane: a plain loop would wait for every comparison. */
static void range_of(const float *v, int32_t n, float *low, float *high) {
  float least[LANES], most[LANES];
  int32_t i = 0;
  for (int l = 0; l < LANES; l++) least[l] = *low, most[l] = *high;
  for (; i + LANES <= n; i += LANES)
    for (int l = 0; l < LANES; l++) {
      float x = v[i + l], y = x > -1e37f ? x : INFINITY;
      most[l] = x > most[l] ? x : most[l];
      least[l] = y < least[l] ? y : least[l];
    }
  for (; i < n; i++) {
    most[0] = v[i] > most[0] ? v[i] : most[0];
    least[0] = v[i] > -1e37f && v[i] < least[0] ? v[i] : least[0];
  }
  for (int l = 0; l < LANES; l++) {
    *low = least[l] < *low ? least[l] : *low;
    *high = most[l] > *high ? most[l] : *high;
  }
}

static int32_t count_from(const float *score, int32_t n, float least) {
  int32_t part[LANES] = {0}, count = 0, i = 0;
  for (; i + LANES <= n; i += LANES)
    for (int l = 0; l < LANES; l++) part[l] += score[i + l] >= least;
  for (; i < n; i++) count += score[i] >= least;
  for (int l = 0; l < LANES; l++) count += part[l];
  return count;
}

/* A score that at least k of all n + m have, at most `more` more; all are from low to high. By where a count that falls exponentially would have it, and by halves in turn. */
static float by_counting(const float *a, int32_t n, const float *b, int32_t m, int32_t k, int32_t more, float low, float high) {
  float wanted = logf((float)k + 0.5f * (float)more), at_low = logf((float)(n + m)), at_high = 0.0f;
  for (int step = 0; step < 32; step++) {
    float share = step % 3 == 2 || !(at_low > at_high) ? 0.5f : (at_low - wanted) / (at_low - at_high);
    share = share > 0.05f ? share : 0.05f;
    share = share < 0.95f ? share : 0.95f;
    float middle = (1.0f - share) * low + share * high;
    if (!(middle > low && middle < high)) break;
    int32_t count = count_from(a, n, middle) + count_from(b, m, middle);
    if (count >= k)
      low = middle, at_low = logf((float)count);
    else
      high = middle, at_high = count > 0 ? logf((float)count) : 0.0f;
    if (count >= k && count <= k + more) break;
  }
  return low;
}

static int32_t some_more(int32_t k) { return k / 8 + 8; }

/* A score that k of n are likely to have, by a sample: by so many times the deviation of what it has. */
static float guess_of_place(const float *sample, int32_t drawn, int32_t n, int32_t k, float deviations, float low, float high) {
  float place = (float)k * (float)drawn / (float)n;
  int32_t safe = (int32_t)(place + deviations * sqrtf(place) + 1.0f);
  return safe < drawn ? by_counting(sample, drawn, NULL, 0, safe, safe / 16 + 1, low, high) : low;
}

static float guess_of_all(const float *score, int32_t n, int32_t k, float low, float high) {
  float some[SAMPLE];
  for (int32_t i = 0; i < SAMPLE; i++) some[i] = score[(int64_t)i * n / SAMPLE];
  return guess_of_place(some, SAMPLE, n, k, 2.0f, low, high);
}

/* A row that is left out is below it. */
static float below(float least, float reach) { return least - reach > -1e37f ? least - reach : -1e37f; }

static float within_reach(const ls_rank *r, float least) { return below(least, r->reach); }

/* Keeps what may stand in the first places, if `top` rows or more have the score `least`: relevant rows in `kept` and r->after, others in r->kept and r->kept_row;
 * returns how many of these. */
static int32_t keep_from(ls_rank *r, float least, float *kept) {
  least = within_reach(r, least);
  r->relevant = keep(r->score + r->first, NULL, r->first, r->end - r->first, least, kept, r->after, 0);
  int32_t others = keep(r->score, NULL, 0, r->first, least, r->kept, r->kept_row, 0);
  return keep(r->score + r->end, NULL, r->end, r->count - r->end, least, r->kept, r->kept_row, others);
}

/* The same without a bound, which a sample gives, nearly: so all scores are gone through once, and the bound is found among those kept. */
static int32_t keep_first_places(ls_rank *r, float low, float high, float *kept) {
  float guess = r->count < 4 * SAMPLE ? low : guess_of_all(r->score, r->count, r->top, low, high);
  if (guess > low) {
    int32_t others = keep_from(r, guess, kept);
    if (count_from(kept, r->relevant, guess) + count_from(r->kept, others, guess) >= r->top) {
      float least = within_reach(r, by_counting(kept, r->relevant, r->kept, others, r->top, some_more(r->top), guess, high));
      r->relevant = keep(kept, r->after, 0, r->relevant, least, kept, r->after, 0);
      return keep(r->kept, r->kept_row, 0, others, least, r->kept, r->kept_row, 0);
    }
  }
  return keep_from(r, by_counting(r->score, r->count, NULL, 0, r->top, some_more(r->top), low, high), kept);
}

/* Counts become the sums up to and with their own. */
static void add_up(uint16_t *count, int32_t n) {
  int32_t i = 0;
  uint16_t sum = 0;
#if defined(__AVX2__)
  __m256i carry = _mm256_setzero_si256();
  for (; i + 16 <= n; i += 16) {
    __m256i x = _mm256_loadu_si256((const __m256i *)(const void *)(count + i));
    x = _mm256_add_epi16(x, _mm256_slli_si256(x, 2));
    x = _mm256_add_epi16(x, _mm256_slli_si256(x, 4));
    x = _mm256_add_epi16(x, _mm256_slli_si256(x, 8));
    __m256i low = _mm256_permute2x128_si256(x, x, 0x08); /* the lower half above zeros */
    x = _mm256_add_epi16(x, _mm256_shuffle_epi8(low, _mm256_set1_epi16(0x0f0e)));
    x = _mm256_add_epi16(x, carry);
    carry = _mm256_shuffle_epi8(_mm256_permute2x128_si256(x, x, 0x11), _mm256_set1_epi16(0x0f0e));
    _mm256_storeu_si256((__m256i *)(void *)(count + i), x);
  }
  if (i > 0) sum = count[i - 1];
#endif
  for (; i < n; i++) count[i] = sum = (uint16_t)(sum + count[i]);
}

/* Sorts the kept relevant rows and leaves in the table, for each part, how many stand in those before it. */
static void sort_relevant(ls_rank *r, scale c, const float *kept, const int32_t *kept_row) {
  int32_t n = r->relevant, parts = (int32_t)c.last + 1;
  memset(r->table, 0, sizeof *r->table * (size_t)(parts + 32));
  for (int32_t i = 0; i < n; i++) r->part[i] = (uint16_t)part_of(c, kept[i]);
  for (int32_t i = 0; i < n; i++) r->table[r->part[i]]++;
  add_up(r->table, parts);
  for (int32_t i = 0; i < n; i++) {
    int32_t at = --r->table[r->part[i]];
    r->sorted[at] = kept[i];
    r->row[at] = kept_row[i];
  }
  for (int32_t i = 1; i < n; i++) {
    float x = r->sorted[i];
    if (!(r->sorted[i - 1] < x)) continue;
    int32_t at = i, row = r->row[i];
    for (; at > 0 && r->sorted[at - 1] < x; at--) {
      r->sorted[at] = r->sorted[at - 1];
      r->row[at] = r->row[at - 1];
    }
    r->sorted[at] = x;
    r->row[at] = row;
  }
  for (int32_t i = 0; i < n; i++) {
    int32_t from = part_of(c, r->sorted[i] + r->reach), end = part_of(c, r->sorted[i] - r->reach);
    r->table[from] |= DOUBT;
    r->table[end] |= DOUBT;
    for (from++; from < end; from++) r->table[from] |= DOUBT;
  }
}

#if defined(__AVX2__) && !defined(__AVX512F__)
/* Of eight others how many relevant rows are nearer, unused for those in doubt; returns how many these are. */
static inline int32_t look_up8(const ls_rank *r, scale c, const float *score, const int32_t *rows, int32_t from, int32_t doubtful, uint32_t *after) {
  __m256 s = _mm256_loadu_ps(score), part = _mm256_add_ps(_mm256_mul_ps(_mm256_sub_ps(_mm256_set1_ps(c.most), s), _mm256_set1_ps(c.inverse)), _mm256_set1_ps(1.0f));
  part = _mm256_min_ps(_mm256_max_ps(part, _mm256_setzero_ps()), _mm256_set1_ps(c.last));
  __m256i found = _mm256_and_si256(_mm256_i32gather_epi32((const void *)r->table, _mm256_cvttps_epi32(part), 2), _mm256_set1_epi32(0xffff));
  __m256i in_doubt = _mm256_slli_epi32(found, 16); /* the sign */
  uint32_t bits = (uint32_t)_mm256_movemask_ps(_mm256_castsi256_ps(in_doubt));
  __m256i place = rows != NULL ? _mm256_loadu_si256((const __m256i *)(const void *)rows) : _mm256_add_epi32(_mm256_set1_epi32(from), _mm256_set_epi32(7, 6, 5, 4, 3, 2, 1, 0));
  ls_pack8(s, place, bits, r->doubted + doubtful, r->doubtful + doubtful);
  __m256i near = ls_pack_lanes(_mm256_and_si256(found, _mm256_set1_epi32(DOUBT - 1)), bits);
  _mm256_storeu_si256((__m256i *)(void *)(r->after + doubtful), near);
  __m256 unused = _mm256_castsi256_ps(_mm256_set1_epi32(r->relevant + 1));
  _mm256_storeu_ps((float *)(void *)after, _mm256_blendv_ps(_mm256_castsi256_ps(found), unused, _mm256_castsi256_ps(in_doubt)));
  return __builtin_popcount(bits);
}
#endif

/* Others: `rows` says their places, or NULL: consecutive ones from `from` on. */
static int32_t look_up(ls_rank *r, scale c, const float *score, const int32_t *rows, int32_t from, int32_t n, int32_t doubtful) {
  uint32_t unused = (uint32_t)r->relevant + 1, after[AT_ONCE];
  for (int32_t first = 0; first < n; first += AT_ONCE) {
    int32_t some = n - first < AT_ONCE ? n - first : AT_ONCE, i = 0;
    const float *s = score + first;
#if defined(__AVX512F__)
    __m512 most = _mm512_set1_ps(c.most), inverse = _mm512_set1_ps(c.inverse), last = _mm512_set1_ps(c.last);
    __m512i counting = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
    for (; i + 16 <= some; i += 16) {
      __m512 part = _mm512_add_ps(_mm512_mul_ps(_mm512_sub_ps(most, _mm512_loadu_ps(s + i)), inverse), _mm512_set1_ps(1.0f));
      part = _mm512_min_ps(_mm512_max_ps(part, _mm512_setzero_ps()), last);
      __m512i found = _mm512_and_si512(_mm512_i32gather_epi32(_mm512_cvttps_epi32(part), (const void *)r->table, 2), _mm512_set1_epi32(0xffff));
      __mmask16 doubt = _mm512_test_epi32_mask(found, _mm512_set1_epi32(DOUBT));
      if (doubt != 0) {
        __m512i place = rows != NULL ? _mm512_loadu_si512(rows + first + i) : _mm512_add_epi32(_mm512_set1_epi32(from + first + i), counting);
        _mm512_storeu_si512(r->doubtful + doubtful, _mm512_maskz_compress_epi32(doubt, place));
        _mm512_storeu_si512(r->after + doubtful, _mm512_maskz_compress_epi32(doubt, _mm512_and_si512(found, _mm512_set1_epi32(DOUBT - 1))));
        _mm512_storeu_ps(r->doubted + doubtful, _mm512_maskz_compress_ps(doubt, _mm512_loadu_ps(s + i)));
        doubtful += __builtin_popcount(doubt);
      }
      _mm512_storeu_si512(after + i, _mm512_mask_set1_epi32(found, doubt, (int)unused));
    }
#elif defined(__AVX2__)
    for (; i + 8 <= some; i += 8) doubtful += look_up8(r, c, s + i, rows != NULL ? rows + first + i : NULL, from + first + i, doubtful, after + i);
#endif
    for (; i < some; i++) {
      uint32_t found = r->table[part_of(c, s[i])], doubt = found / DOUBT;
      r->doubtful[doubtful] = rows != NULL ? rows[first + i] : from + first + i;
      r->after[doubtful] = (int32_t)(found & (DOUBT - 1));
      r->doubted[doubtful] = s[i];
      doubtful += (int32_t)doubt;
      after[i] = doubt ? unused : found;
    }
    int32_t *before = r->before;
    for (i = 0; i < some; i++) before[after[i]]++;
  }
  return doubtful;
}

/* The standing of what is kept: relevant rows in `kept` and r->after; others in r->kept and r->kept_row, or all of them. */
static int32_t stand(ls_rank *r, const float *kept, bool all, int32_t others) {
  float low = INFINITY, high = -INFINITY;
  range_of(kept, r->relevant, &low, &high);
  int32_t buckets = 1024;
  while (buckets < 16 * r->relevant && buckets < LS_RANK_BUCKETS) buckets *= 2;
  scale c = {.most = high + r->reach, .last = (float)(buckets - 1)};
  float range = c.most - (low - r->reach);
  c.inverse = (float)(buckets - 4) / range;
  if (!(range > 0.0f) || !isfinite(c.inverse)) c.inverse = 0.0f; /* all in one part */
  sort_relevant(r, c, kept, r->after);
  memset(r->before, 0, sizeof *r->before * ((size_t)r->relevant + 2));
  if (all) return look_up(r, c, r->score + r->end, NULL, r->end, r->count - r->end, look_up(r, c, r->score, NULL, 0, r->first, 0));
  return look_up(r, c, r->kept, r->kept_row, 0, others, 0);
}

int32_t LS_RANK_NAME(ls_rank *r) {
  bool all = r->top >= r->count;
  float low = INFINITY, high = -INFINITY;
  range_of(r->score, r->first, &low, &high);
  range_of(r->score + r->end, r->count - r->end, &low, &high);
  r->nearest = high;
  range_of(r->score + r->first, r->end - r->first, &low, &high);
  float *kept = (float *)(void *)r->doubtful; /* of relevant rows; until there are doubts */
  int32_t others = 0;
  if (all)
    r->relevant = keep(r->score + r->first, NULL, r->first, r->end - r->first, -1e37f, kept, r->after, 0);
  else
    others = keep_first_places(r, low, high, kept);
  return r->relevant < 1 ? 0 : stand(r, kept, all, others);
}

/* ---- by candidates ---- */

int32_t LS_DRAW_NAME(ls_rank_draw *d) {
  float low = INFINITY, high = -INFINITY;
  range_of(d->score, d->drawn, &low, &high);
  d->least = guess_of_place(d->score, d->drawn, d->rows, d->top, d->deviations, low, high);
  d->threshold = below(d->least, d->reach);
  if (d->twin < d->threshold) d->threshold = d->twin;
  return keep(d->score, NULL, 0, d->count, d->threshold, d->kept, d->kept_row, 0);
}

/* Candidates from `least` on: relevant ones in `kept` and r->after, others in r->kept and r->kept_row; returns how many of these. */
static int32_t sort_out(ls_rank *r, float least, float *kept) {
  int32_t i = 0, others = 0, relevant = 0;
  float nearest = -INFINITY;
#if defined(__AVX512F__)
  __m512 most = _mm512_set1_ps(-INFINITY);
  __m512i first = _mm512_set1_epi32(r->first), drawn = _mm512_set1_epi32(r->drawn), self = _mm512_set1_epi32(r->self);
  __m512i width = _mm512_set1_epi32(r->end - r->first), drawn_width = _mm512_set1_epi32(r->drawn_end - r->drawn);
  for (; i + 16 <= r->count; i += 16) {
    __m512 s = _mm512_loadu_ps(r->score + i);
    __m512i place = _mm512_loadu_si512(r->place + i);
    /* unsigned: places before the first are beyond every width */
    __mmask16 ours = _mm512_cmplt_epu32_mask(_mm512_sub_epi32(place, first), width) | _mm512_cmplt_epu32_mask(_mm512_sub_epi32(place, drawn), drawn_width);
    __mmask16 stays = _mm512_mask_cmpneq_epi32_mask(_mm512_cmp_ps_mask(s, _mm512_set1_ps(least), _CMP_GE_OQ), place, self);
    __mmask16 mine = stays & ours, theirs = stays & (__mmask16)~ours;
    _mm512_storeu_ps(kept + relevant, _mm512_maskz_compress_ps(mine, s));
    _mm512_storeu_si512(r->after + relevant, _mm512_maskz_compress_epi32(mine, place));
    _mm512_storeu_ps(r->kept + others, _mm512_maskz_compress_ps(theirs, s));
    _mm512_storeu_si512(r->kept_row + others, _mm512_maskz_compress_epi32(theirs, place));
    relevant += __builtin_popcount(mine);
    others += __builtin_popcount(theirs);
    most = _mm512_mask_max_ps(most, stays, most, s);
  }
  nearest = _mm512_reduce_max_ps(most);
#elif defined(__AVX2__)
  __m256 most = _mm256_set1_ps(-INFINITY);
  __m256i before = _mm256_set1_epi32(r->first - 1), end = _mm256_set1_epi32(r->end), before_drawn = _mm256_set1_epi32(r->drawn - 1), end_drawn = _mm256_set1_epi32(r->drawn_end);
  for (; i + 8 <= r->count; i += 8) {
    __m256 s = _mm256_loadu_ps(r->score + i);
    __m256i place = _mm256_loadu_si256((const __m256i *)(const void *)(r->place + i));
    __m256 ours = _mm256_castsi256_ps(_mm256_or_si256(_mm256_and_si256(_mm256_cmpgt_epi32(place, before), _mm256_cmpgt_epi32(end, place)),
                                                      _mm256_and_si256(_mm256_cmpgt_epi32(place, before_drawn), _mm256_cmpgt_epi32(end_drawn, place))));
    __m256 stays = _mm256_andnot_ps(_mm256_castsi256_ps(_mm256_cmpeq_epi32(place, _mm256_set1_epi32(r->self))), _mm256_cmp_ps(s, _mm256_set1_ps(least), _CMP_GE_OQ));
    uint32_t bits = (uint32_t)_mm256_movemask_ps(stays), mine = (uint32_t)_mm256_movemask_ps(ours);
    relevant += ls_pack8(s, place, bits & mine, kept + relevant, r->after + relevant);
    others += ls_pack8(s, place, bits & ~mine, r->kept + others, r->kept_row + others);
    most = _mm256_max_ps(most, _mm256_blendv_ps(_mm256_set1_ps(-INFINITY), s, stays));
  }
  for (int l = 0; l < 8; l++) nearest = most[l] > nearest ? most[l] : nearest;
#endif
  for (; i < r->count; i++) {
    int32_t place = r->place[i];
    bool ours = (place >= r->first && place < r->end) || (place >= r->drawn && place < r->drawn_end), stays = r->score[i] >= least && place != r->self;
    kept[relevant] = r->kept[others] = r->score[i];
    r->after[relevant] = r->kept_row[others] = place;
    relevant += stays && ours;
    others += stays && !ours;
    nearest = stays && r->score[i] > nearest ? r->score[i] : nearest;
  }
  r->relevant = relevant;
  r->nearest = nearest;
  return others;
}

int32_t LS_CANDIDATES_NAME(ls_rank *r) {
  int32_t wanted = r->top + (r->self >= 0);
  float low = INFINITY, high = -INFINITY, *kept = (float *)(void *)r->doubtful;
  if (count_from(r->score, r->count, r->least) < wanted) return -1;
  range_of(r->score, r->count, &low, &high);
  int32_t others = sort_out(r, within_reach(r, by_counting(r->score, r->count, NULL, 0, wanted, wanted / 32 + 4, r->least, high)), kept);
  return r->relevant < 1 ? 0 : stand(r, kept, false, others);
}

static inline __attribute__((always_inline)) double near(int metric, int32_t d, const float *q, double q_inverse, const float *x, double inverse) {
  double total = 0.0;
  int32_t j = 0;
#if defined(__AVX512F__)
  __m512d sum[2] = {_mm512_setzero_pd(), _mm512_setzero_pd()};
  for (; j + 16 <= d; j += 16)
    for (int h = 0; h < 2; h++) {
      __m512d a = _mm512_cvtps_pd(_mm256_loadu_ps(q + j + h * 8)), b = _mm512_cvtps_pd(_mm256_loadu_ps(x + j + h * 8));
      if (metric == LS_METRIC_COSINE) a = _mm512_mul_pd(a, _mm512_set1_pd(q_inverse)), b = _mm512_mul_pd(b, _mm512_set1_pd(inverse));
      __m512d difference = _mm512_sub_pd(a, b);
      sum[h] = metric == LS_METRIC_INNER_PRODUCT ? _mm512_fnmadd_pd(a, b, sum[h]) : _mm512_fmadd_pd(difference, difference, sum[h]);
    }
  total = _mm512_reduce_add_pd(_mm512_add_pd(sum[0], sum[1]));
#elif defined(__AVX2__)
  __m256d sum[4] = {_mm256_setzero_pd(), _mm256_setzero_pd(), _mm256_setzero_pd(), _mm256_setzero_pd()};
  for (; j + 16 <= d; j += 16)
    for (int h = 0; h < 4; h++) {
      __m256d a = _mm256_cvtps_pd(_mm_loadu_ps(q + j + h * 4)), b = _mm256_cvtps_pd(_mm_loadu_ps(x + j + h * 4));
      if (metric == LS_METRIC_COSINE) a = _mm256_mul_pd(a, _mm256_set1_pd(q_inverse)), b = _mm256_mul_pd(b, _mm256_set1_pd(inverse));
      __m256d difference = _mm256_sub_pd(a, b);
      sum[h] = metric == LS_METRIC_INNER_PRODUCT ? _mm256_sub_pd(sum[h], _mm256_mul_pd(a, b)) : _mm256_add_pd(_mm256_mul_pd(difference, difference), sum[h]);
    }
  __m256d all = _mm256_add_pd(_mm256_add_pd(sum[0], sum[1]), _mm256_add_pd(sum[2], sum[3]));
  __m128d two = _mm_add_pd(_mm256_castpd256_pd128(all), _mm256_extractf128_pd(all, 1));
  total = _mm_cvtsd_f64(_mm_add_sd(two, _mm_unpackhi_pd(two, two)));
#else
  double sum[LANES] = {0};
  for (; j + LANES <= d; j += LANES)
    for (int l = 0; l < LANES; l++) {
      double a = (double)q[j + l], b = (double)x[j + l];
      if (metric == LS_METRIC_COSINE) a *= q_inverse, b *= inverse;
      sum[l] += metric == LS_METRIC_INNER_PRODUCT ? -(a * b) : (a - b) * (a - b);
    }
  for (int l = 0; l < LANES; l++) total += sum[l];
#endif
  for (; j < d; j++) {
    double a = (double)q[j], b = (double)x[j];
    if (metric == LS_METRIC_COSINE) a *= q_inverse, b *= inverse;
    total += metric == LS_METRIC_INNER_PRODUCT ? -(a * b) : (a - b) * (a - b);
  }
  return metric == LS_METRIC_COSINE ? 0.5 * total : total;
}

double LS_NEAR_NAME(int metric, int32_t d, const float *q, double q_inverse, const float *x, double inverse) {
  if (metric == LS_METRIC_L2) return near(LS_METRIC_L2, d, q, 1.0, x, 1.0);
  if (metric == LS_METRIC_INNER_PRODUCT) return near(LS_METRIC_INNER_PRODUCT, d, q, 1.0, x, 1.0);
  return near(LS_METRIC_COSINE, d, q, q_inverse, x, inverse);
}

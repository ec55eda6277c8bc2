/* Means of measures of retrieval: over queries, by class, over classes. SPDX-License-Identifier: MIT */
#include <lsengine/retrieval.h>

#include <math.h>
#include <string.h>

int32_t ls_retrieval_classes(int32_t queries, const int64_t *labels, int64_t *classes) {
  int32_t count = 0, gap = 1;
  if (queries < 1) return 0;
  memcpy(classes, labels, (size_t)queries * sizeof *classes);
  while (gap < queries / 3) gap = 3 * gap + 1;
  for (; gap > 0; gap /= 3) /* Shell's sort */
    for (int32_t i = gap; i < queries; i++) {
      int64_t label = classes[i];
      int32_t at = i;
      for (; at >= gap && classes[at - gap] > label; at -= gap) classes[at] = classes[at - gap];
      classes[at] = label;
    }
  for (int32_t i = 0; i < queries; i++)
    if (i == 0 || classes[i] != classes[count - 1]) classes[count++] = classes[i];
  return count;
}

static int32_t class_of(int64_t label, int32_t count, const int64_t *classes) {
  int32_t low = 0, high = count - 1;
  while (low < high) {
    int32_t middle = low + (high - low) / 2;
    if (classes[middle] < label)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

void ls_retrieval_average(int32_t queries, const int64_t *labels, const ls_retrieval_query *about, int32_t columns, const double *measures, bool zero,
                          int32_t count, const int64_t *classes, double *by_class, int64_t *kept, double *micro, double *macro) {
  int64_t all = 0, classes_kept = 0;
  memset(by_class, 0, (size_t)count * (size_t)columns * sizeof *by_class);
  memset(kept, 0, (size_t)count * sizeof *kept);
  for (int32_t c = 0; c < columns; c++) micro[c] = macro[c] = 0.0;
  for (int32_t i = 0; i < queries; i++) {
    if (about[i].relevant == 0 && !zero) continue;
    int32_t class = class_of(labels[i], count, classes);
    const double *m = measures + (size_t)i * (size_t)columns;
    kept[class]++;
    all++;
    for (int32_t c = 0; c < columns; c++) {
      by_class[(size_t)class * (size_t)columns + (size_t)c] += m[c];
      micro[c] += m[c];
    }
  }
  for (int32_t class = 0; class < count; class++) {
    double *mean = by_class + (size_t)class * (size_t)columns;
    classes_kept += kept[class] > 0;
    for (int32_t c = 0; c < columns; c++) {
      mean[c] = kept[class] > 0 ? mean[c] / (double)kept[class] : NAN;
      if (kept[class] > 0) macro[c] += mean[c];
    }
  }
  for (int32_t c = 0; c < columns; c++) {
    micro[c] = all > 0 ? micro[c] / (double)all : NAN;
    macro[c] = classes_kept > 0 ? macro[c] / (double)classes_kept : NAN;
  }
}

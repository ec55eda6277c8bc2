/* The reader of NPZ archives, for libFuzzer: SPDX-License-Identifier: MIT
 *   clang -O1 -g -D_GNU_SOURCE -fsanitize=fuzzer,address,undefined -Icore/include -I. $(pkg-config --cflags lua5.4) -DLSB_ZIP_FOLDER='""' tests/fuzz/archives.c bindings/error.c bindings/zip_library.c bindings/labels.c bindings/memory.c
 *     bindings/tensor.c bindings/tensor_make.c bindings/tensor_shape.c bindings/tensor_arithmetic.c build/core/liblsengine.a $(pkg-config --libs lua5.4 libzip) -lm -o archives
 *   ./archives -max_len=1024 -runs=10000000 -seed=1 CORPUS
 *
 * The archive is taken from memory. A new Lua state every 1000 inputs; every error is a Lua error, all else a defect. What the first byte says is read: an
 * archive of arrays, or a checkpoint. Checksums would hide what lies behind them: before reading, each local header and directory entry that is found gets the
 * right one where the second byte is even. */
#include "bindings/archive.c"

#include <stdlib.h>
#include <zlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static lua_State *state;
static int given;

bool lsb_interrupted(void) { return false; }
bool lsb_recording(lua_State *L) { return L == NULL; }

static const uint8_t *input;
static size_t input_size;
static bool as_checkpoint;

static int load_input(lua_State *L) {
  zip_error_t error;
  handle *h = new_handle(L, "load");
  zip_error_init(&error);
  zip_source_t *source = zip_source_buffer_create(input, input_size, 0, &error);
  if (source == NULL) return luaL_error(L, "no source");
  h->zip = zip_open_from_source(source, ZIP_RDONLY | ZIP_CHECKCONS, &error);
  zip_error_fini(&error);
  if (h->zip == NULL) {
    zip_source_free(source);
    return luaL_error(L, "not an archive");
  }
  return load_entries(L, "load", "fuzz.npz", h, as_checkpoint, NULL);
}

static uint32_t number_at(const uint8_t *b, int bytes) {
  uint32_t x = 0;
  for (int i = bytes - 1; i >= 0; i--) x = x << 8 | b[i];
  return x;
}

/* Right checksums for entries that are stored. */
static void mend(uint8_t *b, size_t size) {
  for (size_t i = 0; i + 46 <= size; i++) {
    if (memcmp(b + i, "PK\1\2", 4) != 0) continue;
    size_t local = number_at(b + i + 42, 4), length = number_at(b + i + 20, 4);
    if (number_at(b + i + 10, 2) != 0 || local > size || size - local < 30) continue;
    size_t begin = local + 30 + number_at(b + local + 26, 2) + number_at(b + local + 28, 2);
    if (begin > size || size - begin < length) continue;
    uint32_t sum = (uint32_t)crc32(0, b + begin, (unsigned)length);
    for (int k = 0; k < 4; k++) b[local + 14 + (size_t)k] = b[i + 16 + (size_t)k] = (uint8_t)(sum >> 8 * k);
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
  if (size < 2) return 0;
  if (state == NULL || ++given % 1000 == 0) {
    if (state != NULL) lua_close(state);
    state = luaL_newstate();
    if (state == NULL) abort();
    lsb_open_labels(state);
    lsb_open_tensor(state);
    lua_settop(state, 0);
  }
  uint8_t *copy = malloc(size - 2 + (size == 2));
  if (copy == NULL) abort();
  memcpy(copy, bytes + 2, size - 2);
  if (bytes[1] % 2 == 0) mend(copy, size - 2);
  input = copy;
  input_size = size - 2;
  as_checkpoint = bytes[0] & 1;
  lua_pushcfunction(state, load_input);
  (void)lua_pcall(state, 0, 0, 0);
  lua_settop(state, 0);
  lua_gc(state, LUA_GCCOLLECT, 0); /* closes the archive before its bytes go */
  free(copy);
  return 0;
}

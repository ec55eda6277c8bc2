/* Arrays in files: IDX and NPY, plain or gzipped; archives are in archive.c. SPDX-License-Identifier: MIT
 *
 * A handle of zlib lives in a userdata with a __gc, made before it is opened, so that an error between cannot leak it. Files are written under a temporary name, flushed to disk, and renamed: whole or not at all. */
#define _GNU_SOURCE
#include "bindings/files.h"

#include <lsengine/data.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#define MOST_BYTES ((size_t)1 << 36)

typedef struct handle {
  gzFile gz;
} handle;

static int close_handle(lua_State *L) {
  handle *h = luaL_testudata(L, 1, "lsengine file");
  if (h == NULL) return 0;
  if (h->gz != NULL) gzclose(h->gz);
  memset(h, 0, sizeof *h);
  return 0;
}

static handle *new_handle(lua_State *L) { return lsb_new_resource(L, sizeof(handle), "lsengine file", close_handle); }

void lsb_check_regular(lua_State *L, const char *who, const char *path) {
  struct stat status;
  if (stat(path, &status) != 0) lsb_fail(L, who, "%s: %s", path, strerror(errno));
  if (!S_ISREG(status.st_mode)) lsb_fail(L, who, "%s is not a file", path);
}

void lsb_check_replaceable(lua_State *L, const char *who, const char *path) {
  struct stat status;
  if (stat(path, &status) == 0 && !S_ISREG(status.st_mode)) lsb_fail(L, who, "%s cannot be written: it is not a file", path);
}

/* How much of a file is wanted. */
typedef struct extent {
  bool array;  /* what the header of an IDX or NPY array promises, and no more; of other files the first bytes */
  size_t most; /* more is an error */
  size_t size; /* what was read */
} extent;

enum { FIRST_BYTES = 10, MOST_AT_ONCE = 1 << 20 };

/* Reads on until b holds `wanted` bytes or the file ends. */
static void read_until(lua_State *L, const char *who, const char *path, handle *h, luaL_Buffer *b, size_t wanted, size_t *size) {
  while (*size < wanted) {
    if (lsb_interrupted()) luaL_error(L, "interrupted");
    size_t some = wanted - *size > MOST_AT_ONCE ? MOST_AT_ONCE : wanted - *size;
    int n = gzread(h->gz, luaL_prepbuffsize(b, some), (unsigned)some), code;
    if (n < 0) {
      const char *why = gzerror(h->gz, &code);
      lsb_fail(L, who, "%s: %s", path, code == Z_ERRNO ? strerror(errno) : why);
    }
    if (n == 0) break;
    *size += (size_t)n;
    luaL_addsize(b, (size_t)n);
  }
  int code;
  gzerror(h->gz, &code);
  if (code == Z_BUF_ERROR) lsb_fail(L, who, "%s is truncated: its compressed data ends early", path);
}

/* Reads an array: header first, then what it promises, then the file must end. Files that end early are left to the parser. */
static void read_array(lua_State *L, const char *who, const char *path, handle *h, luaL_Buffer *b, extent *e) {
  ls_promise promise = {.needed = FIRST_BYTES};
  ls_err err;
  read_until(L, who, path, h, b, FIRST_BYTES, &e->size);
  for (;;) {
    const uint8_t *bytes = (const uint8_t *)luaL_buffaddr(b);
    bool npy = e->size > 0 && bytes[0] == 0x93;
    if (e->size < promise.needed && (npy || e->size < 4)) return;
    if (!npy && (bytes[0] != 0 || bytes[1] != 0)) return;
    if ((npy ? ls_npy_promise(bytes, e->size, &promise, &err) : ls_idx_promise(bytes, e->size, &promise, &err)) != LS_OK)
      lsb_fail(L, who, "%s: %s", path, err.message);
    if (promise.whole) break;
    size_t before = e->size;
    read_until(L, who, path, h, b, promise.needed, &e->size);
    if (e->size == before) return;
  }
  read_until(L, who, path, h, b, promise.needed, &e->size);
  size_t beyond = e->size;
  read_until(L, who, path, h, b, promise.needed + 1, &beyond);
  if (beyond <= promise.needed) return;
  if (!gzdirect(h->gz)) lsb_fail(L, who, "%s unpacks to more than its header promises (%zu bytes)", path, promise.needed);
  struct stat status;
  if (stat(path, &status) != 0) lsb_fail(L, who, "%s: %s", path, strerror(errno));
  lsb_fail(L, who, "%s: the file has %lld bytes, its header promises %zu: it is followed by something else", path, (long long)status.st_size, promise.needed);
}

/* read(who, path, handle, extent): the unpacked bytes as a string, in protected mode: memory may run out. */
static int read_all(lua_State *L) {
  const char *who = lua_tostring(L, 1), *path = lua_tostring(L, 2);
  handle *h = luaL_checkudata(L, 3, "lsengine file");
  luaL_checktype(L, 4, LUA_TLIGHTUSERDATA);
  extent *e = lua_touserdata(L, 4);
  luaL_Buffer b;
  luaL_buffinit(L, &b);
  if (e->array) {
    read_array(L, who, path, h, &b, e);
  } else {
    read_until(L, who, path, h, &b, e->most + 1, &e->size);
    if (e->size > e->most) lsb_fail(L, who, "%s holds or unpacks to more than %.1f MB", path, (double)e->most / 1e6);
  }
  luaL_pushresult(&b);
  return 1;
}

static const uint8_t *read_file(lua_State *L, const char *who, const char *path, extent *e) {
  lsb_check_regular(L, who, path);
  handle *h = new_handle(L);
  int top = lua_gettop(L);
  h->gz = gzopen(path, "rb");
  if (h->gz == NULL) lsb_fail(L, who, "%s: %s", path, strerror(errno));
  lua_pushcfunction(L, read_all);
  lua_pushstring(L, who);
  lua_pushstring(L, path);
  lua_pushvalue(L, top);
  lua_pushlightuserdata(L, e);
  int status = lua_pcall(L, 4, 1, 0);
  gzclose(h->gz);
  h->gz = NULL;
  if (status == LUA_ERRMEM) {
    char so_far[64];
    snprintf(so_far, sizeof so_far, "it after %.1f MB (unpacked)", (double)e->size / 1e6);
    lsb_fail(L, who, "%s: %s", path, lsb_no_memory_text(L, so_far));
  }
  if (status != LUA_OK) lua_error(L);
  return (const uint8_t *)lua_tostring(L, -1);
}

const uint8_t *lsb_read_file(lua_State *L, const char *who, const char *path, size_t most, size_t *size) {
  extent e = {.most = most < MOST_BYTES ? most : MOST_BYTES};
  const uint8_t *bytes = read_file(L, who, path, &e);
  *size = e.size;
  return bytes;
}

/* Pushes integers of one dimension as labels, all else as a tensor. */
void lsb_push_array(lua_State *L, const char *who, const char *path, const ls_array *a) {
  ls_err err;
  if (a->rank == 1 && ls_element_is_integer(a->type)) {
    lsb_labels *labels = lsb_new_labels(L, who, a->count);
    if (ls_array_to_int64(a, labels->values, &err) != LS_OK) lsb_fail(L, who, "%s: %s", path, err.message);
    return;
  }
  lsb_tensor *t = lsb_new_tensor(L, who, a->rank, a->shape);
  ls_array_to_float(a, t->view.data);
}

uint64_t lsb_fnv(uint64_t hash, const void *bytes, size_t size) {
  const uint8_t *b = bytes;
  for (size_t i = 0; i < size; i++) hash = (hash ^ b[i]) * 1099511628211u;
  return hash;
}

static bool ends_with(const char *text, const char *end) {
  size_t n = strlen(text), m = strlen(end);
  return n >= m && strcmp(text + n - m, end) == 0;
}

/* load(who, path[, member]): a tensor, labels, or a table of them by name, of an archive only that member where one is named. NPZ by its name,
 * NPY and IDX by their first bytes. */
static int load(lua_State *L) {
  extent e = {.array = true};
  const char *who = luaL_checkstring(L, 1), *path = lsb_check_path(L, 2, who, "file");
  const char *only = lua_isnoneornil(L, 3) ? NULL : lsb_check_path(L, 3, who, "member");
  if (ends_with(path, ".npz")) {
    lsb_check_regular(L, who, path);
    return lsb_load_npz(L, who, path, false, only);
  }
  if (only != NULL) return lsb_fail(L, who, "%s is no NPZ archive: it has no member %s", path, only);
  const uint8_t *bytes = read_file(L, who, path, &e);
  size_t size = e.size;
  ls_array a;
  ls_err err;
  bool npy = size > 0 && bytes[0] == 0x93;
  if (!npy && (size < 2 || bytes[0] != 0 || bytes[1] != 0))
    return lsb_fail(L, who, "%s is neither an NPY, NPZ nor IDX file", path);
  if ((npy ? ls_npy_open(bytes, size, &a, &err) : ls_idx_open(bytes, size, &a, &err)) != LS_OK)
    return lsb_fail(L, who, "%s: %s", path, err.message);
  lsb_push_array(L, who, path, &a);
  return 1;
}

/* Labels as a matrix of so many columns, unless that is 0. */
static uint8_t *npy_bytes(lua_State *L, const char *who, int index, int32_t columns, size_t *size) {
  uint8_t header[LS_NPY_HEADER_SIZE];
  lsb_labels *labels = lsb_test_labels(L, index);
  if (labels != NULL) {
    if (labels->count > INT32_MAX) lsb_fail(L, who, "%zu labels are too many for one file", labels->count);
    int32_t n = (int32_t)labels->count, shape[] = {columns > 0 ? n / columns : n, columns};
    if (columns > 0 && n % columns != 0) lsb_fail(L, who, "%d labels do not make rows of %d", n, columns);
    size_t length = ls_npy_header(LS_I64, columns > 0 ? 2 : 1, shape, header), body = labels->count * sizeof(int64_t);
    uint8_t *bytes = lsb_new_scratch(L, who, length + body);
    memcpy(bytes, header, length);
    memcpy(bytes + length, labels->values, body);
    *size = length + body;
    return bytes;
  }
  if (lua_type(L, index) == LUA_TSTRING) {
    size_t body;
    const char *text = lua_tolstring(L, index, &body);
    if (body > INT32_MAX) lsb_fail(L, who, "a text of %zu bytes is too long for one file", body);
    int32_t n = (int32_t)body;
    size_t length = ls_npy_header(LS_U8, 1, &n, header);
    uint8_t *bytes = lsb_new_scratch(L, who, length + body);
    memcpy(bytes, header, length);
    memcpy(bytes + length, text, body);
    *size = length + body;
    return bytes;
  }
  lua_pushvalue(L, index);
  lsb_tensor *t = lsb_check_contiguous(L, lua_gettop(L), who, "a value");
  size_t length = ls_npy_header(LS_F32, t->view.rank, t->view.shape, header), body = ls_view_count(&t->view) * sizeof(float);
  uint8_t *bytes = lsb_new_scratch(L, who, length + body);
  memcpy(bytes, header, length);
  memcpy(bytes + length, t->view.data, body);
  *size = length + body;
  return bytes;
}

uint8_t *lsb_npy_bytes(lua_State *L, const char *who, int index, size_t *size) { return npy_bytes(L, who, index, 0, size); }

/* No Lua between opening and closing: nothing can leak. Returns 0 or errno. */
static int write_whole(const char *path, const char *temporary, const uint8_t *bytes, size_t size) {
  int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666), code = 0;
  if (fd < 0) return errno;
  while (size > 0 && code == 0) {
    ssize_t n = write(fd, bytes, size);
    if (n < 0 && errno != EINTR) code = errno;
    if (n > 0) bytes += n, size -= (size_t)n;
  }
  if (code == 0 && fsync(fd) != 0) code = errno;
  if (close(fd) != 0 && code == 0) code = errno;
  if (code == 0 && rename(temporary, path) != 0) code = errno;
  if (code != 0) unlink(temporary);
  return code;
}

/* save_npy(who, path, tensor | labels, columns): labels as a matrix where columns are given */
static int save_npy(lua_State *L) {
  size_t size;
  lua_settop(L, 4);
  const char *who = luaL_checkstring(L, 1), *path = lsb_check_path(L, 2, who, "file");
  lsb_check_replaceable(L, who, path);
  const char *temporary = lua_pushfstring(L, "%s.%d.part", path, (int)getpid());
  int32_t columns = lua_isnil(L, 4) ? 0 : lsb_check_int(L, 4, who, "columns", 1, INT32_MAX);
  uint8_t *bytes = npy_bytes(L, who, 3, columns, &size);
  int code = write_whole(path, temporary, bytes, size);
  if (code != 0) return lsb_fail(L, who, "%s cannot be written: %s", path, strerror(code));
  return 0;
}

/* write(who, path, bytes): a string as a file. */
static int write_bytes(lua_State *L) {
  size_t size;
  lua_settop(L, 3);
  const char *who = luaL_checkstring(L, 1), *path = lsb_check_path(L, 2, who, "file"), *bytes = lsb_check_string(L, 3, who, "the contents", &size);
  lsb_check_replaceable(L, who, path);
  const char *temporary = lua_pushfstring(L, "%s.%d.part", path, (int)getpid());
  int code = write_whole(path, temporary, (const uint8_t *)bytes, size);
  if (code != 0) return lsb_fail(L, who, "%s cannot be written: %s", path, strerror(code));
  return 0;
}

/* read(who, path): the bytes of a file, unpacked where it is gzipped. */
static int read_bytes(lua_State *L) {
  size_t size;
  const char *who = luaL_checkstring(L, 1), *path = lsb_check_path(L, 2, who, "file");
  lsb_read_file(L, who, path, MOST_BYTES, &size);
  return 1;
}

/* readable(path): whether a file is there that can be read. */
static int readable(lua_State *L) {
  struct stat status;
  const char *path = lsb_check_path(L, 1, "readable", "file");
  lua_pushboolean(L, access(path, R_OK) == 0 && stat(path, &status) == 0 && S_ISREG(status.st_mode));
  return 1;
}

int lsb_open_files(lua_State *L) {
  static const luaL_Reg functions[] = {{"load", load},         {"members", lsb_npz_members}, {"read", read_bytes},     {"save_npy", save_npy},
                                       {"save_npz", lsb_save_npz}, {"comment", lsb_npz_comment}, {"readable", readable}, {"write", write_bytes}, {NULL, NULL}};
  luaL_newlib(L, functions);
  return 1;
}

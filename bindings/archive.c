/* NPZ archives. SPDX-License-Identifier: MIT
 *
 * Handles of libzip live in userdata with a __gc, made before they are opened, so that an error between cannot leak them. */
#include "bindings/files.h"
#include "bindings/zip_library.h"

#include <lsengine/data.h>

#include <stdio.h>
#include <string.h>

#define LONGEST_HEADER (LS_NPY_LONGEST_HEADER + 64)

enum { FIRST_BYTES = 10, MOST_AT_ONCE = 64 << 20 };

typedef struct handle {
  const lsb_zip *lib;
  zip_t *zip;
  zip_file_t *entry;
} handle;

static int close_handle(lua_State *L) {
  handle *h = luaL_testudata(L, 1, "lsengine archive");
  if (h == NULL) return 0;
  if (h->entry != NULL) h->lib->zip_fclose(h->entry);
  if (h->zip != NULL) h->lib->zip_discard(h->zip);
  memset(h, 0, sizeof *h);
  return 0;
}

static handle *new_handle(lua_State *L, const char *who) {
  const lsb_zip *lib = lsb_need_zip(L, who);
  handle *h = lsb_new_resource(L, sizeof(handle), "lsengine archive", close_handle);
  h->lib = lib;
  return h;
}

/* Reads on until `bytes` holds `wanted` or the entry ends. */
static void read_entry_until(lua_State *L, const char *who, const char *path, const char *name, handle *h, uint8_t *bytes, size_t wanted, size_t *size) {
  while (*size < wanted) {
    if (lsb_interrupted()) luaL_error(L, "interrupted");
    size_t some = wanted - *size > MOST_AT_ONCE ? MOST_AT_ONCE : wanted - *size;
    zip_int64_t n = h->lib->zip_fread(h->entry, bytes + *size, some);
    if (n < 0) lsb_fail(L, who, "%s: %s is damaged: %s", path, name, h->lib->zip_file_strerror(h->entry));
    if (n == 0) break;
    *size += (size_t)n;
  }
}

/* Pushes the bytes of the open entry, once its header promises as many as the archive says it has; of an entry that ends early what is
 * there. `header` holds LONGEST_HEADER bytes. */
static const uint8_t *read_entry(lua_State *L, const char *who, const char *path, const zip_stat_t *stat, handle *h, uint8_t *header, size_t *size) {
  ls_promise promise = {.needed = FIRST_BYTES};
  ls_err err;
  while (!promise.whole) {
    read_entry_until(L, who, path, stat->name, h, header, promise.needed, size);
    if (*size < promise.needed) { /* the parser says what is missing */
      lua_pushnil(L);
      return header;
    }
    if (ls_npy_promise(header, *size, &promise, &err) != LS_OK) lsb_fail(L, who, "%s: %s: %s", path, stat->name, err.message);
  }
  if (promise.needed != stat->size)
    lsb_fail(L, who, "%s: %s has %llu bytes, its header promises %zu: it is %s", path, stat->name, (unsigned long long)stat->size, promise.needed,
             stat->size < promise.needed ? "truncated" : "followed by something else");
  uint8_t more, *bytes = lsb_try_userdata(L, promise.needed);
  if (bytes == NULL) {
    char what[64];
    snprintf(what, sizeof what, "%.1f MB (unpacked)", (double)promise.needed / 1e6);
    lsb_fail(L, who, "%s: %s: %s", path, stat->name, lsb_no_memory_text(L, what));
  }
  memcpy(bytes, header, *size);
  read_entry_until(L, who, path, stat->name, h, bytes, promise.needed, size);
  zip_int64_t beyond = h->lib->zip_fread(h->entry, &more, 1); /* at the end, its checksum is looked at */
  if (beyond < 0) lsb_fail(L, who, "%s: %s is damaged: %s", path, stat->name, h->lib->zip_file_strerror(h->entry));
  if (beyond > 0) lsb_fail(L, who, "%s: %s unpacks to more than its header promises (%zu bytes)", path, stat->name, promise.needed);
  return bytes;
}

/* The entry "checksum" (its bytes are in `a`) against what was found. */
static void check_sum(lua_State *L, const char *who, const char *path, const ls_array *a, uint64_t sum) {
  char digits[17];
  snprintf(digits, sizeof digits, "%016llx", (unsigned long long)sum);
  if (a->count != 16 || a->type != LS_U8 || memcmp(a->data, digits, 16) != 0)
    lsb_fail(L, who, "%s is damaged: its checksum is not that of its contents", path);
}

/* Pushes a handle of the archive. */
static handle *open_npz(lua_State *L, const char *who, const char *path) {
  int code = 0;
  zip_error_t error;
  handle *h = new_handle(L, who);
  h->zip = h->lib->zip_open(path, ZIP_RDONLY | ZIP_CHECKCONS, &code);
  if (h->zip == NULL) {
    h->lib->zip_error_init_with_code(&error, code);
    char text[200];
    snprintf(text, sizeof text, "%s", h->lib->zip_error_strerror(&error));
    h->lib->zip_error_fini(&error);
    lsb_fail(L, who, "%s is not an NPZ archive: %s", path, text);
  }
  return h;
}

/* Pushes the name of an entry as NumPy has it: without .npy. */
static const char *push_entry_name(lua_State *L, const zip_stat_t *stat) {
  size_t length = strlen(stat->name);
  return lua_pushlstring(L, stat->name, length > 4 && strcmp(stat->name + length - 4, ".npy") == 0 ? length - 4 : length);
}

/* Pushes the arrays of an open archive, by name. */
static int load_entries(lua_State *L, const char *who, const char *path, handle *h, bool checkpoint, const char *only) {
  uint64_t sum = LSB_FNV;
  bool summed = false;
  uint8_t *header = lsb_new_scratch(L, who, LONGEST_HEADER);
  lua_newtable(L);
  int result = lua_gettop(L);
  zip_int64_t entries = h->lib->zip_get_num_entries(h->zip, 0);
  for (zip_int64_t i = 0; i < entries; i++) {
    zip_stat_t stat;
    ls_array a;
    ls_err err;
    if (h->lib->zip_stat_index(h->zip, (zip_uint64_t)i, 0, &stat) != 0 || (stat.valid & (ZIP_STAT_NAME | ZIP_STAT_SIZE)) != (ZIP_STAT_NAME | ZIP_STAT_SIZE))
      return lsb_fail(L, who, "%s: entry %lld cannot be read: %s", path, (long long)i + 1, h->lib->zip_strerror(h->zip));
    size_t size = 0;
    const char *name = push_entry_name(L, &stat);
    if (only != NULL && strcmp(name, only) != 0) {
      lua_pop(L, 1);
      continue;
    }
    h->entry = h->lib->zip_fopen_index(h->zip, (zip_uint64_t)i, 0);
    if (h->entry == NULL) return lsb_fail(L, who, "%s: %s cannot be read: %s", path, stat.name, h->lib->zip_strerror(h->zip));
    const uint8_t *bytes = read_entry(L, who, path, &stat, h, header, &size);
    h->lib->zip_fclose(h->entry);
    h->entry = NULL;
    if (ls_npy_open(bytes, size, &a, &err) != LS_OK) return lsb_fail(L, who, "%s: %s: %s", path, stat.name, err.message);
    if (checkpoint && strcmp(stat.name, "checksum.npy") == 0) {
      if (i + 1 != entries) return lsb_fail(L, who, "%s is damaged: something follows its checksum", path);
      check_sum(L, who, path, &a, sum);
      summed = true;
    }
    if (checkpoint) sum = lsb_fnv(lsb_fnv(sum, stat.name, strlen(stat.name) + 1), bytes, size);
    if (checkpoint && a.type == LS_U8 && a.rank == 1)
      lua_pushlstring(L, (const char *)a.data, a.count);
    else
      lsb_push_array(L, who, path, &a);
    lua_remove(L, -2); /* the bytes, or nil for an entry that ends within its header */
    lua_rawset(L, result);
  }
  if (checkpoint && !summed) return lsb_fail(L, who, "%s is no checkpoint of lsengine: it has no checksum", path);
  lua_settop(L, result);
  return 1;
}

int lsb_load_npz(lua_State *L, const char *who, const char *path, bool checkpoint, const char *only) {
  return load_entries(L, who, path, open_npz(L, who, path), checkpoint, only);
}

/* members(who, path): the names in an NPZ archive, in its order. */
int lsb_npz_members(lua_State *L) {
  const char *who = luaL_checkstring(L, 1), *path = lsb_check_path(L, 2, who, "file");
  lsb_check_regular(L, who, path);
  handle *h = open_npz(L, who, path);
  lua_newtable(L);
  zip_int64_t entries = h->lib->zip_get_num_entries(h->zip, 0);
  for (zip_int64_t i = 0; i < entries; i++) {
    zip_stat_t stat;
    if (h->lib->zip_stat_index(h->zip, (zip_uint64_t)i, 0, &stat) != 0 || (stat.valid & ZIP_STAT_NAME) == 0)
      return lsb_fail(L, who, "%s: entry %lld cannot be read: %s", path, (long long)i + 1, h->lib->zip_strerror(h->zip));
    push_entry_name(L, &stat);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  return 1;
}

/* save_npz(who, path, names, arrays, comment): in the order of names; the comment is text or nil. libzip writes under another name and renames when closing. */
int lsb_save_npz(lua_State *L) {
  int code = 0;
  size_t comment_size = 0;
  lua_settop(L, 5);
  const char *who = luaL_checkstring(L, 1), *path = lsb_check_path(L, 2, who, "file"), *comment = luaL_optlstring(L, 5, NULL, &comment_size);
  lsb_check_replaceable(L, who, path);
  luaL_checktype(L, 3, LUA_TTABLE);
  luaL_checktype(L, 4, LUA_TTABLE);
  lua_newtable(L); /* keeps the bytes until the archive is closed */
  handle *h = new_handle(L, who);
  h->zip = h->lib->zip_open(path, ZIP_CREATE | ZIP_TRUNCATE, &code);
  if (h->zip == NULL) {
    zip_error_t error;
    h->lib->zip_error_init_with_code(&error, code);
    char text[200];
    snprintf(text, sizeof text, "%s", h->lib->zip_error_strerror(&error));
    h->lib->zip_error_fini(&error);
    return lsb_fail(L, who, "%s cannot be written: %s", path, text);
  }
  lua_Integer count = (lua_Integer)lua_rawlen(L, 3);
  for (lua_Integer i = 1; i <= count; i++) {
    size_t size;
    int top = lua_gettop(L);
    lua_rawgeti(L, 3, i);
    lua_pushfstring(L, "%s.npy", luaL_checkstring(L, -1));
    const char *name = lua_tostring(L, -1);
    lua_pushvalue(L, -2);
    lua_rawget(L, 4);
    uint8_t *bytes = lsb_npy_bytes(L, who, lua_gettop(L), &size);
    lua_pushvalue(L, -1);
    lua_rawseti(L, 6, i);
    zip_source_t *source = h->lib->zip_source_buffer(h->zip, bytes, size, 0);
    zip_int64_t at = source == NULL ? -1 : h->lib->zip_file_add(h->zip, name, source, ZIP_FL_ENC_UTF_8 | ZIP_FL_OVERWRITE);
    if (at < 0) {
      if (source != NULL) h->lib->zip_source_free(source);
      return lsb_fail(L, who, "%s cannot be written: %s", path, h->lib->zip_strerror(h->zip));
    }
    h->lib->zip_set_file_compression(h->zip, (zip_uint64_t)at, ZIP_CM_STORE, 0);
    lua_settop(L, top);
  }
  if (comment != NULL && comment_size <= UINT16_MAX) h->lib->zip_set_archive_comment(h->zip, comment, (zip_uint16_t)comment_size);
  if (h->lib->zip_close(h->zip) != 0) return lsb_fail(L, who, "%s cannot be written: %s", path, h->lib->zip_strerror(h->zip));
  h->zip = NULL;
  return 0;
}

/* comment(path): the text that an NPZ archive has beside its arrays, "" where there is none or it cannot be read. */
int lsb_npz_comment(lua_State *L) {
  int code = 0, size = 0;
  const char *path = lsb_check_path(L, 1, "load", "file");
  handle *h = new_handle(L, "load");
  h->zip = h->lib->zip_open(path, ZIP_RDONLY, &code);
  const char *text = h->zip == NULL ? NULL : h->lib->zip_get_archive_comment(h->zip, &size, ZIP_FL_ENC_RAW);
  lua_pushlstring(L, text == NULL ? "" : text, text == NULL ? 0 : (size_t)size);
  return 1;
}

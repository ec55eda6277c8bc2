/* Checkpoints: NPZ archives with a checksum, written whole or not at all. SPDX-License-Identifier: MIT
 *
 * The archive is made in memory, written as FILE.part, flushed to disk, renamed, and the folder flushed: after a loss of power, too, there is
 * the old file or the new one. A FILE.part that a killed process has left is written over by the next; a lock keeps two processes apart. */
#define _GNU_SOURCE
#include "bindings/files.h"
#include "bindings/zip_library.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct maker {
  const lsb_zip *lib;
  zip_t *zip;
  zip_source_t *memory; /* where the archive is written to */
} maker;

static int close_maker(lua_State *L) {
  maker *m = luaL_testudata(L, 1, "lsengine checkpoint");
  if (m == NULL) return 0;
  if (m->zip != NULL) m->lib->zip_discard(m->zip);
  if (m->memory != NULL) m->lib->zip_source_free(m->memory);
  memset(m, 0, sizeof *m);
  return 0;
}

static maker *new_maker(lua_State *L, const char *who) {
  const lsb_zip *lib = lsb_need_zip(L, who);
  maker *m = lsb_new_resource(L, sizeof(maker), "lsengine checkpoint", close_maker);
  m->lib = lib;
  return m;
}

static int cannot(lua_State *L, const char *who, const char *path, const char *why) { return lsb_fail(L, who, "%s cannot be written: %s", path, why); }

static void open_maker(lua_State *L, maker *m, const char *who, const char *path) {
  zip_error_t error;
  char why[200] = "no memory";
  m->lib->zip_error_init(&error);
  m->memory = m->lib->zip_source_buffer_create(NULL, 0, 0, &error);
  if (m->memory != NULL) {
    m->zip = m->lib->zip_open_from_source(m->memory, ZIP_TRUNCATE, &error);
    if (m->zip != NULL) m->lib->zip_source_keep(m->memory); /* the archive frees its own when it is closed */
  }
  if (m->zip == NULL) snprintf(why, sizeof why, "%s", m->lib->zip_error_strerror(&error));
  m->lib->zip_error_fini(&error);
  if (m->zip == NULL) cannot(L, who, path, why);
}

/* The bytes must stay until the archive is closed. */
static void add(lua_State *L, maker *m, const char *who, const char *path, const char *name, const uint8_t *bytes, size_t size) {
  zip_source_t *source = m->lib->zip_source_buffer(m->zip, bytes, size, 0);
  zip_int64_t at = source == NULL ? -1 : m->lib->zip_file_add(m->zip, name, source, ZIP_FL_ENC_UTF_8);
  if (at < 0) {
    char why[200];
    snprintf(why, sizeof why, "%s", m->lib->zip_strerror(m->zip));
    if (source != NULL) m->lib->zip_source_free(source);
    cannot(L, who, path, why);
  }
  m->lib->zip_set_file_compression(m->zip, (zip_uint64_t)at, ZIP_CM_STORE, 0);
  m->lib->zip_file_set_dostime(m->zip, (zip_uint64_t)at, 0, 0x21, 0); /* 1980: equal contents are equal files */
}

/* Closes the archive and pushes its bytes. */
static uint8_t *take(lua_State *L, maker *m, const char *who, const char *path, size_t *size) {
  zip_stat_t stat;
  if (m->lib->zip_close(m->zip) != 0) cannot(L, who, path, m->lib->zip_strerror(m->zip));
  m->zip = NULL;
  if (m->lib->zip_source_stat(m->memory, &stat) != 0 || (stat.valid & ZIP_STAT_SIZE) == 0) cannot(L, who, path, "its size is not known");
  *size = (size_t)stat.size;
  uint8_t *bytes = lsb_new_scratch(L, who, *size);
  bool read = m->lib->zip_source_open(m->memory) == 0 && m->lib->zip_source_read(m->memory, bytes, stat.size) == (zip_int64_t)stat.size;
  m->lib->zip_source_close(m->memory);
  if (!read) cannot(L, who, path, "it cannot be put together");
  return bytes;
}

static int flush_folder(const char *folder) {
  int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC), code = 0;
  if (fd < 0) return errno;
  if (fsync(fd) != 0 && errno != EINVAL) code = errno; /* EINVAL: this file system does not flush folders */
  close(fd);
  return code;
}

/* The part's descriptor with the lock held, or -1 and errno; EWOULDBLOCK where another process writes it. */
static int open_part(const char *part) {
  for (int attempt = 0; attempt < 10; attempt++) {
    struct stat by_name, by_fd;
    int fd = open(part, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (fd < 0) return -1;
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
      int code = errno;
      close(fd);
      errno = code;
      return -1;
    }
    if (stat(part, &by_name) == 0 && fstat(fd, &by_fd) == 0 && by_name.st_ino == by_fd.st_ino && by_name.st_dev == by_fd.st_dev) return fd;
    close(fd); /* another process has renamed it meanwhile: it is a finished file */
  }
  errno = EWOULDBLOCK;
  return -1;
}

/* No Lua between opening and closing: nothing can leak. Returns 0 or errno. */
static int write_part(const char *path, const char *part, const char *folder, const uint8_t *bytes, size_t size) {
  int fd = open_part(part), code = 0;
  if (fd < 0) return errno;
  if (ftruncate(fd, 0) != 0) code = errno;
  while (size > 0 && code == 0) {
    ssize_t n = write(fd, bytes, size);
    if (n < 0 && errno != EINTR) code = errno;
    if (n > 0) bytes += n, size -= (size_t)n;
  }
  if (code == 0 && fsync(fd) != 0) code = errno;
  if (code == 0 && rename(part, path) != 0) code = errno;
  if (code != 0) unlink(part);
  if (close(fd) != 0 && code == 0) code = errno;
  return code == 0 ? flush_folder(folder) : code;
}

/* save(who, path, names, values): tensors, labels and strings, in the order of names. */
static int save(lua_State *L) {
  size_t size;
  uint64_t sum = LSB_FNV;
  char digits[17];
  lua_settop(L, 4);
  const char *who = luaL_checkstring(L, 1), *path = lsb_check_path(L, 2, who, "file");
  lsb_check_replaceable(L, who, path);
  luaL_checktype(L, 3, LUA_TTABLE);
  luaL_checktype(L, 4, LUA_TTABLE);
  const char *part = lua_pushfstring(L, "%s.part", path), *slash = strrchr(path, '/');
  if (slash == NULL)
    lua_pushliteral(L, ".");
  else
    lua_pushlstring(L, path, slash == path ? 1 : (size_t)(slash - path));
  const char *folder = lua_tostring(L, 6);
  lua_newtable(L); /* 7: keeps the bytes until the archive is closed */
  maker *m = new_maker(L, who);
  open_maker(L, m, who, path);
  size_t count = lsb_check_length(L, 3, who, "names");
  for (size_t i = 1; i <= count + 1; i++) {
    int top = lua_gettop(L);
    if (i <= count) {
      lua_rawgeti(L, 3, (lua_Integer)i);
      lua_pushfstring(L, "%s.npy", luaL_checkstring(L, -1));
      lua_pushvalue(L, -2);
      lua_rawget(L, 4);
    } else {
      snprintf(digits, sizeof digits, "%016llx", (unsigned long long)sum);
      lua_pushnil(L);
      lua_pushliteral(L, "checksum.npy");
      lua_pushstring(L, digits);
    }
    const char *name = lua_tostring(L, top + 2);
    uint8_t *bytes = lsb_npy_bytes(L, who, top + 3, &size);
    lua_pushvalue(L, -1);
    lua_rawseti(L, 7, (lua_Integer)i);
    sum = lsb_fnv(lsb_fnv(sum, name, strlen(name) + 1), bytes, size); /* the name with its final zero: where it ends */
    add(L, m, who, path, name, bytes, size);
    lua_settop(L, top);
  }
  const uint8_t *bytes = take(L, m, who, path, &size);

  int code = write_part(path, part, folder, bytes, size);
  if (code == EWOULDBLOCK) return cannot(L, who, path, "another process writes it: two trainings must not have one checkpoint");
  if (code != 0) return cannot(L, who, path, strerror(code));
  return 0;
}

/* load(who, path): a table of tensors, labels and strings by name. */
static int load(lua_State *L) {
  const char *who = luaL_checkstring(L, 1);
  return lsb_load_npz(L, who, lsb_check_path(L, 2, who, "file"), true, NULL);
}

/* exists(path): whether anything has that name. */
static int exists(lua_State *L) {
  struct stat status;
  lua_pushboolean(L, stat(lsb_check_path(L, 1, "checkpoint", "file"), &status) == 0);
  return 1;
}

int lsb_open_checkpoint(lua_State *L) {
  static const luaL_Reg functions[] = {{"save", save}, {"load", load}, {"exists", exists}, {NULL, NULL}};
  luaL_newlib(L, functions);
  return 1;
}

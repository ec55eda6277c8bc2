/* Files: bytes and arrays, what the other files of the bindings share. SPDX-License-Identifier: MIT */
#ifndef LSB_FILES_H
#define LSB_FILES_H

#include "bindings/tensor.h"

#include <lsengine/data.h>

/* Pushes the bytes of a file, unpacked where it is gzipped, as a string. More than `most` are an error, and are not unpacked. */
const uint8_t *lsb_read_file(lua_State *L, const char *who, const char *path, size_t most, size_t *size);
/* The bytes of an array's file, header and elements, in a new userdata on the stack: of a tensor, of labels, or of a string
 * (unsigned bytes). The value at index may be replaced by a contiguous copy. */
uint8_t *lsb_npy_bytes(lua_State *L, const char *who, int index, size_t *size);

/* Raises where something other than a file has that name: writing puts a new file in the place of the old. */
void lsb_check_replaceable(lua_State *L, const char *who, const char *path);

/* FNV-1a over bytes, going on from `hash` (first: LSB_FNV). */
#define LSB_FNV 1469598103934665603u
uint64_t lsb_fnv(uint64_t hash, const void *bytes, size_t size);

/* Raises where that name is not a regular file's. */
void lsb_check_regular(lua_State *L, const char *who, const char *path);

/* Pushes integers of one dimension as labels, all else as a tensor. */
void lsb_push_array(lua_State *L, const char *who, const char *path, const ls_array *a);

/* Archives, as the module of files has them. */
int lsb_npz_members(lua_State *L);
int lsb_save_npz(lua_State *L);
int lsb_npz_comment(lua_State *L);

/* Pushes the arrays of an NPZ archive, by name: all, or with `only` the one of that name, if it is there. Of a checkpoint, vectors of bytes are strings, and the last entry, "checksum", must
 * hold that of all others' names and bytes. */
int lsb_load_npz(lua_State *L, const char *who, const char *path, bool checkpoint, const char *only);

#endif

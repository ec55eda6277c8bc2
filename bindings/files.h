/* Files' bytes. SPDX-License-Identifier: MIT */
#ifndef LSB_FILES_H
#define LSB_FILES_H

#include "bindings/tensor.h"

/* Pushes the bytes of a file, unpacked where it is gzipped, as a string. More than `most` are an error, and are not unpacked. */
const uint8_t *lsb_read_file(lua_State *L, const char *who, const char *path, size_t most, size_t *size);

#endif

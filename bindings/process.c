/* A child process: text in, bytes out. SPDX-License-Identifier: MIT
 *
 * No shell. Standard input is a socket, so that a child which stops reading is an error of the write and no signal. The handle's __gc is a
 * net only: the loop runs in protected mode, and the child is reaped before its outcome, or an error, goes on. */
#define _GNU_SOURCE
#include "bindings/lsb.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

enum { MOST_ARGUMENTS = 64, MOST_MESSAGES = 4096, WAKE = 100, READ_AT_ONCE = 65536, OUTPUT = 1, MESSAGES = 2 };

typedef struct child {
  pid_t pid;  /* 0: none */
  int fds[3]; /* our ends of its standard input, output, error; -1: closed */
  const char *input;
  size_t left; /* of the input */
  size_t most; /* of the output */
  double seconds;
  char messages[MOST_MESSAGES]; /* the first of what it said on standard error */
  size_t said;
} child;

static void close_end(int *fd) {
  if (*fd >= 0) close(*fd);
  *fd = -1;
}

/* Ends what still runs and reaps it. Returns its status as waitpid gives it. */
static int finish(child *c, bool end) {
  int status = 0;
  for (int i = 0; i < 3; i++) close_end(&c->fds[i]);
  if (c->pid <= 0) return 0;
  if (end) kill(c->pid, SIGKILL);
  while (waitpid(c->pid, &status, 0) < 0 && errno == EINTR)
    if (lsb_interrupted()) kill(c->pid, SIGKILL);
  c->pid = 0;
  return status;
}

static int release(lua_State *L) {
  child *c = luaL_testudata(L, 1, "lsengine process");
  if (c != NULL) finish(c, true);
  return 0;
}

static child *new_child(lua_State *L) {
  child *c = lsb_new_resource(L, sizeof *c, "lsengine process", release);
  for (int i = 0; i < 3; i++) c->fds[i] = -1;
  return c;
}

/* Signals as a program expects them at its start, and in no group of its own: Ctrl-C reaches both. */
static int start_with(child *c, char **arguments, int input, int output, int messages) {
  posix_spawn_file_actions_t files;
  posix_spawnattr_t attributes;
  sigset_t none, all;
  int code = posix_spawn_file_actions_init(&files);
  if (code != 0) return code;
  code = posix_spawnattr_init(&attributes);
  if (code == 0) {
    sigemptyset(&none);
    sigemptyset(&all);
    sigaddset(&all, SIGINT);
    sigaddset(&all, SIGPIPE);
    sigaddset(&all, SIGXFSZ);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    code = posix_spawn_file_actions_adddup2(&files, input, 0);
    if (code == 0) code = posix_spawn_file_actions_adddup2(&files, output, 1);
    if (code == 0) code = posix_spawn_file_actions_adddup2(&files, messages, 2);
    if (code == 0) code = posix_spawnp(&c->pid, arguments[0], &files, &attributes, arguments, environ);
    if (code != 0) c->pid = 0;
    posix_spawnattr_destroy(&attributes);
  }
  posix_spawn_file_actions_destroy(&files);
  return code;
}

/* Duplicates above 2 replace ends that would be overwritten while the child's are put in place: a run whose own standard streams are closed. */
static int above(int fd) {
  if (fd > 2 || fd < 0) return fd;
  int higher = fcntl(fd, F_DUPFD_CLOEXEC, 3);
  close(fd);
  return higher;
}

/* Opens the three ways and starts the program. Returns 0 or errno; nothing is left open on the child's side. */
static int start(child *c, char **arguments) {
  int in[2] = {-1, -1}, out[2] = {-1, -1}, err[2] = {-1, -1}, code = 0;
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, in) != 0 || pipe2(out, O_CLOEXEC) != 0 || pipe2(err, O_CLOEXEC) != 0) code = errno;
  for (int i = 0; i < 2; i++) {
    in[i] = above(in[i]);
    out[i] = above(out[i]);
    err[i] = above(err[i]);
  }
  c->fds[0] = in[0];
  c->fds[OUTPUT] = out[0];
  c->fds[MESSAGES] = err[0];
  if (code == 0 && (in[0] < 0 || in[1] < 0 || out[0] < 0 || out[1] < 0 || err[0] < 0 || err[1] < 0)) code = EMFILE;
  if (code == 0) code = start_with(c, arguments, in[1], out[1], err[1]);
  close_end(&in[1]);
  close_end(&out[1]);
  close_end(&err[1]);
  return code;
}

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void send_some(child *c) {
  ssize_t n = send(c->fds[0], c->input, c->left, MSG_NOSIGNAL | MSG_DONTWAIT);
  if (n > 0) {
    c->input += n;
    c->left -= (size_t)n;
  }
  /* a child that reads no more says itself why, or by its exit code */
  if (c->left == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) close_end(&c->fds[0]);
}

static void receive_output(lua_State *L, child *c, luaL_Buffer *b, size_t *size) {
  ssize_t n = read(c->fds[OUTPUT], luaL_prepbuffsize(b, READ_AT_ONCE), READ_AT_ONCE);
  if (n < 0 && errno == EINTR) return;
  if (n <= 0) {
    close_end(&c->fds[OUTPUT]);
    return;
  }
  luaL_addsize(b, (size_t)n);
  *size += (size_t)n;
  if (*size > c->most) luaL_error(L, "it wrote more than %d MB", (int)(c->most >> 20));
}

static void receive_messages(child *c) {
  char more[READ_AT_ONCE];
  ssize_t n = read(c->fds[MESSAGES], more, sizeof more);
  if (n < 0 && errno == EINTR) return;
  if (n <= 0) {
    close_end(&c->fds[MESSAGES]);
    return;
  }
  size_t room = sizeof c->messages - c->said, kept = (size_t)n < room ? (size_t)n : room;
  memcpy(c->messages + c->said, more, kept);
  c->said += kept;
}

/* talk(handle): feeds and reads until the child has closed its output; the output as a string. In protected mode: memory may run out. */
static int talk(lua_State *L) {
  child *c = luaL_checkudata(L, 1, "lsengine process");
  double end = now() + c->seconds;
  size_t size = 0;
  luaL_Buffer b;
  luaL_buffinit(L, &b);
  while (c->fds[OUTPUT] >= 0 || c->fds[MESSAGES] >= 0) {
    struct pollfd ways[3] = {{.fd = c->fds[0], .events = POLLOUT}, {.fd = c->fds[OUTPUT], .events = POLLIN}, {.fd = c->fds[MESSAGES], .events = POLLIN}};
    if (c->fds[0] >= 0 && c->left == 0) close_end(&c->fds[0]);
    ways[0].fd = c->fds[0];
    int ready = poll(ways, 3, WAKE);
    if (lsb_interrupted()) return luaL_error(L, "interrupted");
    if (ready < 0 && errno != EINTR) return luaL_error(L, "it cannot be waited for: %s", strerror(errno));
    if (now() > end) return luaL_error(L, "it was not done after %d seconds", (int)c->seconds);
    if (ready <= 0) continue;
    if (ways[0].revents != 0) send_some(c);
    if (ways[1].revents != 0) receive_output(L, c, &b, &size);
    if (ways[2].revents != 0) receive_messages(c);
  }
  luaL_pushresult(&b);
  return 1;
}

/* run(who, arguments, input, most_megabytes, seconds): starts arguments[1], found as a shell would, gives it the input. Returns its exit code
 * (128 + n where signal n ended it), its output, and the first 4096 bytes of its messages; nil and the reason where it cannot be started. */
static int run(lua_State *L) {
  lua_settop(L, 5);
  const char *who = lsb_check_string(L, 1, "run", "who", NULL);
  size_t count = lsb_check_length(L, 2, who, "arguments"), length;
  const char *input = lsb_check_string(L, 3, who, "input", &length);
  int megabytes = lsb_check_int(L, 4, who, "most", 1, 4096), seconds = lsb_check_int(L, 5, who, "seconds", 1, 86400);
  char *arguments[MOST_ARGUMENTS + 1] = {NULL};
  if (count == 0 || count > MOST_ARGUMENTS) return lsb_fail(L, who, "%zu arguments, 1 to %d are allowed", count, MOST_ARGUMENTS);
  lua_createtable(L, (int)count, 0); /* keeps the strings */
  for (size_t i = 0; i < count; i++) {
    lua_rawgeti(L, 2, (lua_Integer)i + 1);
    arguments[i] = (char *)(uintptr_t)lsb_check_path(L, lua_gettop(L), who, "argument");
    lua_rawseti(L, 6, (lua_Integer)i + 1);
  }

  lua_pushcfunction(L, talk);
  child *c = new_child(L);
  c->input = input;
  c->left = length;
  c->most = (size_t)megabytes << 20;
  c->seconds = seconds;
  lua_pushvalue(L, -1);
  lua_insert(L, -3); /* handle, talk, handle */

  int code = start(c, arguments);
  if (code != 0) {
    finish(c, true);
    lua_pushnil(L);
    lua_pushstring(L, strerror(code));
    return 2;
  }
  int caught = lua_pcall(L, 1, 1, 0), status = finish(c, caught != LUA_OK);
  if (caught == LUA_ERRMEM || lsb_interrupted()) return lua_error(L);
  if (caught != LUA_OK) return lsb_fail(L, who, "%s: %s", arguments[0], lua_tostring(L, -1));

  lua_pushinteger(L, WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
  lua_insert(L, -2);
  lua_pushlstring(L, c->messages, c->said);
  return 3;
}

int lsb_open_process(lua_State *L) {
  static const luaL_Reg functions[] = {{"run", run}, {NULL, NULL}};
  luaL_newlib(L, functions);
  return 1;
}

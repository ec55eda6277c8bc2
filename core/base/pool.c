/* The pool of threads: the only file that knows pthreads. SPDX-License-Identifier: MIT
 *
 * Workers sleep on a condition variable between calls, after they have spun for as long as waking one costs: so what spinning wastes is at most what it might have
 * saved, and on shared processors nobody spins for long. Blocks are handed out by an atomic counter. A worker joins a job when it has woken; one that the system wakes after the caller has taken the
 * last block finds the job closed, and nobody waits for it.
 *
 * No lock is taken where all are awake: a worker counts itself before it looks whether the job is open, the caller closes it before it looks at the count, so that one of them sees the other. Who goes to sleep
 * says so before it looks a last time, and is woken by whoever changes what it waits for. (All of these in one order that all threads agree on, C11's default.) */
#define _GNU_SOURCE
#include <lsengine/pool.h>

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>

static struct {
  pthread_t workers[LS_MAX_THREADS];
  int threads; /* the caller included */
  pthread_mutex_t busy, lock;
  pthread_cond_t wake, done;
  bool spins; /* no more threads than processors */
  ls_block_fn *fn;
  void *argument;
  size_t blocks;
  atomic_uint_fast64_t generation;
  atomic_bool open, stop, waits; /* blocks may be left; the workers are to end; the caller sleeps until nobody works */
  atomic_int sleepers, home; /* home: the caller's processor */
  _Alignas(64) atomic_int working; /* workers that have joined, or look whether they can */
  _Alignas(64) atomic_size_t next;
  _Alignas(64) atomic_uint_fast64_t counts[LS_SITE_COUNT];
} pool = {.threads = 1,
          .busy = PTHREAD_MUTEX_INITIALIZER,
          .lock = PTHREAD_MUTEX_INITIALIZER,
          .wake = PTHREAD_COND_INITIALIZER,
          .done = PTHREAD_COND_INITIALIZER};

static _Thread_local bool inside;
static _Thread_local int index_here; /* workers from 1 */

const char *ls_site_name(ls_site site) {
  static const char *const names[] = {
#define LS_SITE_TEXT(name, text) text,
      LS_SITES(LS_SITE_TEXT)
#undef LS_SITE_TEXT
  };
  return names[site];
}

enum { SPIN_NANOSECONDS = 60000, YIELD_NANOSECONDS = 3000, PAUSES = 16 };

static int64_t nanoseconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* True for as long as it is worth asking again. Who is waited for may want this very processor, where others take part of the time: so it is offered soon (two blocks of 5 µs took 78 µs, all of the spinning, in a
 * tenth of the calls on a machine at work; now 18). */
static bool spin(int64_t *began) {
  int64_t now = nanoseconds();
  if (!pool.spins || (*began != 0 && now - *began > SPIN_NANOSECONDS)) return false;
  if (*began == 0) *began = now;
  if (now - *began > YIELD_NANOSECONDS) {
    sched_yield();
    return true;
  }
  for (int i = 0; i < PAUSES; i++) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
  }
  return true;
}

static void run_blocks(void) {
  inside = true;
  for (;;) {
    size_t block = atomic_fetch_add_explicit(&pool.next, 1, memory_order_relaxed);
    if (block >= pool.blocks) break;
    pool.fn(pool.argument, block);
  }
  inside = false;
}

/* A new job, or the end: seen by spinning, then asleep. Not by spinning on the caller's own processor, where nothing happens meanwhile: who is woken from sleep is put on one that is idle, if any is. (Without
 * this both threads stayed on one processor for whole runs.) */
static void await_job(uint64_t seen) {
  for (int64_t began = 0; pool.generation == seen && sched_getcpu() != pool.home && spin(&began);) continue;
  if (pool.generation != seen) return;
  pthread_mutex_lock(&pool.lock);
  pool.sleepers++;
  while (pool.generation == seen) pthread_cond_wait(&pool.wake, &pool.lock);
  pool.sleepers--;
  pthread_mutex_unlock(&pool.lock);
}

static void wake_workers(void) {
  pool.generation++;
  if (pool.sleepers == 0) return;
  pthread_mutex_lock(&pool.lock);
  pthread_cond_broadcast(&pool.wake);
  pthread_mutex_unlock(&pool.lock);
}

static void *worker(void *at) {
  index_here = (int)(intptr_t)at;
  for (uint64_t seen = 0; !pool.stop;) {
    await_job(seen);
    seen = pool.generation;
    pool.working++;
    if (pool.open) run_blocks();
    if (--pool.working != 0 || !pool.waits) continue;
    pthread_mutex_lock(&pool.lock);
    pthread_cond_signal(&pool.done);
    pthread_mutex_unlock(&pool.lock);
  }
  return NULL;
}

/* Until all blocks are done. */
static void await_workers(void) {
  for (int64_t began = 0; pool.working != 0 && spin(&began);) continue;
  if (pool.working == 0) return;
  pthread_mutex_lock(&pool.lock);
  pool.waits = true;
  while (pool.working != 0) pthread_cond_wait(&pool.done, &pool.lock);
  pool.waits = false;
  pthread_mutex_unlock(&pool.lock);
}

int ls_pool_processors(void) {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) != 0) return 1;
  int count = CPU_COUNT(&set);
  return count < 1 ? 1 : count > LS_MAX_THREADS ? LS_MAX_THREADS : count;
}

ls_status ls_pool_start(int threads, ls_err *err) {
  if (threads < 0 || threads > LS_MAX_THREADS)
    return ls_fail(err, LS_ERANGE, "threads is %d, allowed is 1 to %d, or 0 for one for each processor", threads,
                   LS_MAX_THREADS);
  ls_pool_stop();
  if (threads == 0) threads = ls_pool_processors();
  pool.stop = false;
  pool.generation = 0;
  pool.spins = threads <= ls_pool_processors();
  for (pool.threads = 1; pool.threads < threads; pool.threads++) {
    int code = pthread_create(&pool.workers[pool.threads], NULL, worker, (void *)(intptr_t)pool.threads);
    if (code != 0) {
      int made = pool.threads;
      ls_pool_stop();
      return ls_fail(err, LS_EPOOL, "thread %d of %d cannot be started: %s", made + 1, threads, strerror(code));
    }
  }
  return LS_OK;
}

void ls_pool_stop(void) {
  pool.stop = true;
  wake_workers();
  for (int i = 1; i < pool.threads; i++) pthread_join(pool.workers[i], NULL);
  pool.threads = 1;
}

int ls_pool_threads(void) { return pool.threads; }

int ls_pool_index(void) { return index_here; }

void ls_parallel(ls_site site, size_t blocks, ls_block_fn *fn, void *argument) {
  if (blocks > 1) atomic_fetch_add_explicit(&pool.counts[site], blocks, memory_order_relaxed);
  if (blocks <= 1 || pool.threads == 1 || inside || pthread_mutex_trylock(&pool.busy) != 0) {
    for (size_t block = 0; block < blocks; block++) fn(argument, block);
    return;
  }
  pool.home = sched_getcpu();
  pool.fn = fn;
  pool.argument = argument;
  pool.blocks = blocks;
  pool.next = 0;
  pool.open = true;
  wake_workers();
  run_blocks();
  pool.open = false;
  await_workers();
  pthread_mutex_unlock(&pool.busy);
}

uint64_t ls_pool_blocks(ls_site site) { return atomic_load(&pool.counts[site]); }

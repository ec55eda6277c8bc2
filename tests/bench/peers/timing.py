"""What the peers' programs share: interleaved rounds, and memory that stays. SPDX-License-Identifier: MIT"""
import ctypes
import time


def keep_memory():
    """glibc keeps what is freed: no fresh pages for each result."""
    ctypes.CDLL(None).mallopt(-3, 1 << 30)  # M_MMAP_THRESHOLD
    ctypes.CDLL(None).mallopt(-1, 2**31 - 1)  # M_TRIM_THRESHOLD


def logits(threads, n, k):
    """PyTorch with so many threads: normal logits that gather gradients, labels, and what forgets the gradient."""
    import torch

    torch.set_num_threads(threads)
    torch.manual_seed(1)
    z = (3 * torch.randn(n, k)).requires_grad_()
    return z, torch.randint(k, (n,)), lambda: setattr(z, "grad", None)


def measure(items, rounds, before=lambda: None):
    """Calls each of {name: function} once for warmth and `rounds` times in turn; prints median, least and quartiles. Gives the last results by name."""
    times, results = {name: [] for name in items}, {}
    for i in range(rounds + 1):
        for name, run in items.items():
            before()
            began = time.perf_counter()
            results[name] = run()
            if i > 0:
                times[name].append(time.perf_counter() - began)
    for name, t in times.items():
        t.sort()
        print("\t".join([name] + [f"{t[i]:.9g}" for i in (len(t) // 2, 0, len(t) // 4, len(t) * 3 // 4)]))
    return results

"""What the peers of searches share: faiss at its best setting. SPDX-License-Identifier: MIT"""
import os


def start(threads):
    """faiss with so many threads; its OpenBLAS with the kernels that the processor can run, waiting threads asleep."""
    flags = open("/proc/cpuinfo").read() if os.path.exists("/proc/cpuinfo") else ""
    core = "SkylakeX" if " avx512bw" in flags else "Haswell" if " avx2" in flags else ""
    os.environ.pop("OPENBLAS_L2_SIZE", None)
    if core:
        os.environ["OPENBLAS_CORETYPE"] = core
    os.environ["OMP_NUM_THREADS"] = str(threads)
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    import faiss

    faiss.omp_set_num_threads(threads)
    print(f"=\tfaiss\t{faiss.__version__}, {faiss.get_compile_options().strip()}; OPENBLAS_CORETYPE={core or 'its own choice'}, OMP_WAIT_POLICY={os.environ['OMP_WAIT_POLICY']}")
    return faiss


def search(faiss, x, q, k, metric):
    index = faiss.IndexFlatL2(x.shape[1]) if metric[0] == "l" else faiss.IndexFlatIP(x.shape[1])
    index.add(x)
    return index.search(q, k)

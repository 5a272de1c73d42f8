#!/usr/bin/env python3
"""Compares the sprint with PyTorch on this machine, in one interleaved run.

    cargo build --release -p freeway-sprint --example sprint-bench
    python3 -m venv DIR && DIR/bin/pip install torch numpy
    DIR/bin/python scripts/bench-sprint-pytorch.py

PyTorch does the plain products of a shape and nothing else: for each layer queries, keys and values, output, gate and
up, down, on as many rows as the sprint takes at a time. The sprint does all of its function: the products, requantised,
with norm, attention, residuals, injection and digests. Both are counted by the multiply-adds of the products, two
operations each. One thread each, turn by turn; rates are per second of processor time, so that other load on the
machine disturbs less; the median of all rounds is printed.

Nothing is written to disk. The first table is what belongs in docs/benchmarks.md.
"""

import argparse
import json
import os
import pathlib
import platform
import re
import statistics
import subprocess
import sys
import time
import warnings

SHAPES = {"tiny": (4, 64, 8, 128), "A": (4, 512, 64, 4096), "B": (4, 1024, 64, 8192), "C": (16, 2048, 32, 8192)}
ROOT = pathlib.Path(__file__).resolve().parent.parent
FLAGS = ["avx2", "fma", "f16c", "avx_vnni", "avx512f", "avx512bw", "avx512_vnni", "avx512_bf16", "avx512_fp16",
         "amx_tile", "amx_int8", "amx_bf16", "asimddp", "i8mm", "bf16"]


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=SHAPES, default="A")
    parser.add_argument("--rows", type=int, default=256, help="rows of a batch, as the sprint has them (default 256)")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=2.0, help="for each measurement (default 2)")
    parser.add_argument("--layers", type=int, default=8,
                        help="layers of weights that PyTorch keeps: more than any cache holds (default 8)")
    parser.add_argument("--backend", help="of the sprint: scalar, avx2, vnni or amx (default: the best)")
    parser.add_argument("--binary", type=pathlib.Path, help="sprint-bench or freeway (default: found in target/)")
    parser.add_argument("--json", action="store_true", help="print all measurements as JSON")
    return parser.parse_args()


def find_binary():
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    for name in ["examples/sprint-bench", "freeway"]:
        if (target / "release" / name).exists():
            return target / "release" / name
    sys.exit("build first: cargo build --release -p freeway-sprint --example sprint-bench")


def product_operations(shape):
    """Operations of the products of one row, through all layers."""
    _, width, layers, hidden = SHAPES[shape]
    return 2 * layers * (4 * width * width + 3 * width * hidden)


def sprint(options, binary):
    """Operations a second of processor time, by the products alone, and which backend ran."""
    command = [binary, "--shape", options.shape, "--threads", "1", "--seconds", str(options.seconds)]
    if options.backend:
        command += ["--backend", options.backend]
    if binary.name.startswith("freeway"):
        command[1:1] = ["--json", "sprint", "bench"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{binary} failed: {done.stderr or done.stdout}")
    if done.stdout.lstrip().startswith("{"):
        found = json.loads(done.stdout)
        clock = "core" if "nonces_per_core_second" in found else "wall"
        nonces = found.get("nonces_per_core_second", found["nonces_per_second"])
        backend = found["backend"]
    else:
        clock, backend = "core", done.stdout.split(",")[0].split()[-1]
        nonces = float(re.search(r"([0-9.]+) nonces/core-s", done.stdout).group(1))
    return nonces * SHAPES[options.shape][0] * product_operations(options.shape), backend, clock


def products(options):
    """What PyTorch is measured with: a name and a function that does all products of some layers once."""
    import torch

    torch.set_num_threads(1)
    torch.manual_seed(1)
    _, width, layers, hidden = SHAPES[options.shape]
    kept, rows = min(layers, options.layers), options.rows
    sizes = [(3 * width, width), (width, width), (2 * hidden, width), (width, hidden)]
    bytes_ = lambda *size: torch.randint(-127, 128, size, dtype=torch.int8)
    inputs = {inner: bytes_(rows, inner) for _, inner in sizes}
    weights = [[bytes_(*size) for size in sizes] for _ in range(kept)]

    def plain(dtype):
        own_inputs = {inner: x.to(dtype) for inner, x in inputs.items()}
        own = [[(own_inputs[w.shape[1]], w.to(dtype).t()) for w in layer] for layer in weights]
        return lambda: [torch.mm(x, w) for layer in own for x, w in layer]

    def integer():
        own = [[(inputs[w.shape[1]], w.t()) for w in layer] for layer in weights]
        return lambda: [torch._int_mm(x, w) for layer in own for x, w in layer]

    def quantised():
        torch.backends.quantized.engine = "fbgemm"
        linear = torch.ops.quantized.linear
        own_inputs = {inner: torch.quantize_per_tensor(x.float(), 1.0, 64, torch.quint8) for inner, x in inputs.items()}
        scaled = lambda w: torch.quantize_per_tensor(w.float(), 1.0, 0, torch.qint8)
        pack = lambda w: torch.ops.quantized.linear_prepack(scaled(w), None)
        own = [[(own_inputs[w.shape[1]], pack(w)) for w in layer] for layer in weights]
        return lambda: [linear(x, w, 2048.0, 64) for layer in own for x, w in layer]

    variants = {
        "float32, `torch.mm`": lambda: plain(torch.float32),
        "bfloat16, `torch.mm`": lambda: plain(torch.bfloat16),
        "float16, `torch.mm`": lambda: plain(torch.float16),
        "int8 to int32, `torch._int_mm`": integer,
        "int8 to int8, quantised linear (fbgemm)": quantised,
    }
    ready, operations = {}, rows * product_operations(options.shape) * kept / layers
    for name, make in variants.items():
        try:
            once = make()
            once()
            ready[name] = once
        except (RuntimeError, AttributeError, NotImplementedError) as error:
            print(f"left out: {name}: {str(error).splitlines()[0]}", file=sys.stderr)
    return ready, operations


def rate(once, operations, seconds):
    """Operations a second of processor time."""
    count, start, begun = 0, time.process_time(), time.monotonic()
    while True:
        once()
        count += 1
        if time.monotonic() - begun >= seconds:
            return count * operations / (time.process_time() - start)


def machine():
    model, flags = platform.processor() or platform.machine(), []
    try:
        for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                model = value.strip()
            elif name.strip() in ("flags", "Features"):
                flags = value.split()
    except OSError:
        pass
    return model, [flag for flag in FLAGS if flag in flags]


def main():
    for name in ["OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"]:
        os.environ[name] = "1"
    warnings.simplefilter("ignore")
    options = arguments()
    binary = options.binary.resolve() if options.binary else find_binary()
    import torch

    ready, operations = products(options)
    measured = {name: [] for name in ready}
    ours, backend, clock = [], "", ""
    for number in range(options.rounds):
        value, backend, clock = sprint(options, binary)
        ours.append(value)
        for name, once in ready.items():
            measured[name].append(rate(once, operations, options.seconds))
        print(f"round {number + 1} of {options.rounds}", file=sys.stderr)

    model, flags = machine()
    capability = torch.backends.cpu.get_cpu_capability()
    if options.json:
        print(json.dumps({"shape": options.shape, "rows": options.rows, "cpu": model, "flags": flags,
                          "torch": torch.__version__, "backend": backend, "clock": clock,
                          "sprint": ours, "pytorch": measured}))
        return
    median = statistics.median
    print(f"{model}: {', '.join(flags) or 'flags unknown'}. PyTorch {torch.__version__} ({capability}). Shape "
          f"{options.shape}, {options.rows} rows, {options.rounds} interleaved rounds, one thread each.\n")
    unit = "a core-second" if clock == "core" else "a second (sprint: by the wall)"
    print(f"| | Gop {unit}, median | lowest to highest | the sprint is faster by |")
    print("|---|---|---|---|")
    rows = [(f"**sprint, whole function, {backend}**", ours)] + [(f"PyTorch {n}", v) for n, v in measured.items()]
    for name, values in rows:
        ratio = "" if values is ours else f"{median(ours) / median(values):.1f} x"
        print(f"| {name} | {median(values) / 1e9:.0f} | {min(values) / 1e9:.0f} to {max(values) / 1e9:.0f} | {ratio} |")


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""The exact engine beside llama.cpp on the same Q8_0 weights, in one interleaved run, one thread each.

Needs `pip install llama-cpp-python numpy` (it builds llama.cpp for this machine) and two files of the same weights:

    cargo run --release -p freeway-models --example make-model -- --preset half-billion --gguf model.gguf --package model.freeway
    cargo build --release -p freeway-inference --example inference-bench
    python3 scripts/bench-inference-llamacpp.py model.gguf model.freeway

Each engine runs in a process of its own, in turns. Rates are tokens per processor second, so that other work on the
machine disturbs them little; the table shows medians and the ratio.
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import sys
import time

PREFILL, DECODE, BATCH, CONTEXT = 512, 64, 8, 128
RATES = ("prefill", "decode", "batch")


def tokens(seed, count, vocabulary):
    """Random token ids: what they mean changes nothing about the work."""
    state = seed
    found = []
    for _ in range(count):
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        found.append(300 + (state >> 33) % (vocabulary - 300))
    return found


def llama(path):
    """Measures llama.cpp in this process; prints one line of JSON."""
    import llama_cpp

    llama_cpp.llama_backend_init()
    quiet = llama_cpp.llama_log_callback(lambda *_: None)
    llama_cpp.llama_log_set(quiet, None)
    model = llama_cpp.llama_model_load_from_file(path.encode(), llama_cpp.llama_model_default_params())
    vocabulary = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(model))
    params = llama_cpp.llama_context_default_params()
    params.n_ctx, params.n_batch, params.n_ubatch, params.n_seq_max = 2048, PREFILL, PREFILL, BATCH
    # One room for all sequences, as ours.
    params.kv_unified = True
    params.n_threads = params.n_threads_batch = 1
    context = llama_cpp.llama_init_from_model(model, params)
    memory = llama_cpp.llama_get_memory(context)

    def decode(rows):
        """rows: (token, position, sequence, wants logits)"""
        batch = llama_cpp.llama_batch_init(len(rows), 0, 1)
        batch.n_tokens = len(rows)
        for i, (token, position, sequence, logits) in enumerate(rows):
            batch.token[i], batch.pos[i], batch.n_seq_id[i], batch.logits[i] = token, position, 1, logits
            batch.seq_id[i][0] = sequence
        result = llama_cpp.llama_decode(context, batch)
        llama_cpp.llama_batch_free(batch)
        assert result == 0, result

    def prefill(sequence, ids):
        decode([(token, i, sequence, i == len(ids) - 1) for i, token in enumerate(ids)])

    def rate(count, work):
        start = time.process_time()
        work()
        return count / (time.process_time() - start)

    prompt = tokens(3, PREFILL, vocabulary)
    prefill(0, prompt[:32])
    llama_cpp.llama_memory_clear(memory, True)
    result = {"prefill": rate(PREFILL, lambda: prefill(0, prompt))}
    llama_cpp.llama_memory_clear(memory, True)
    prefill(0, prompt[:CONTEXT])

    def alone():
        for i in range(DECODE):
            decode([(prompt[i], CONTEXT + i, 0, True)])

    result["decode"] = rate(DECODE, alone)
    llama_cpp.llama_memory_clear(memory, True)
    prompts = [tokens(20 + j, CONTEXT, vocabulary) for j in range(BATCH)]
    for sequence, ids in enumerate(prompts):
        prefill(sequence, ids)

    def together():
        for i in range(DECODE // 2):
            decode([(ids[i], CONTEXT + i, sequence, True) for sequence, ids in enumerate(prompts)])

    result["batch"] = rate(BATCH * DECODE // 2, together)
    status = pathlib.Path("/proc/self/status").read_text()
    result["memory_mib"] = next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmHWM"))
    print(json.dumps(result))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("gguf")
    parser.add_argument("package", nargs="?")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--bench", default="target/release/examples/inference-bench")
    parser.add_argument("--llama", action="store_true", help="measure llama.cpp in this process, once")
    arguments = parser.parse_args()
    if arguments.llama:
        return llama(arguments.gguf)
    if not arguments.package:
        parser.error("name the package of the same weights")
    engines = {
        "exact": [arguments.bench, "--model", arguments.package, "--threads", "1", "--rounds", "1", "--json"],
        "llama.cpp": [sys.executable, __file__, arguments.gguf, "--llama"],
    }
    found = {name: [] for name in engines}
    for _ in range(arguments.rounds):
        for name, command in engines.items():
            line = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip().splitlines()[-1]
            run = json.loads(line)
            if name == "exact":
                run = {what: run[f"{what}_tokens_per_core_second"] for what in RATES} | {
                    "memory_mib": run["peak_memory_kib"] / 1024
                }
            found[name].append(run)
    print("| | exact | llama.cpp | ratio |\n|---|---|---|---|")
    for what in (*RATES, "memory_mib"):
        ours, theirs = (statistics.median(run[what] for run in found[name]) for name in engines)
        print(f"| {what} | {ours:.1f} | {theirs:.1f} | {ours / theirs:.2f} |")


if __name__ == "__main__":
    main()

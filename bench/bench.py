"""Builds the programs of the rows, lets them take turns with their peers, and writes results.json for report.py.

Needs: what run.sh has made. Usage: see run.sh. Leaves in build/bench: a folder for each case, results-CORES.json, the
report.
"""
import argparse
import json
import os
import pathlib
import subprocess
import sys
import time

import make_data
import report
from cases import CC, FLAGS, HERE, LIBRARIES, NNC, ROOT, Case, Peer, output_of, timed
from rows import Row

WORK = ROOT / "build" / "bench"
TRAINING = ["seed", "mnist", "mlp512", "wide", "conv", "resnet", "gru", "charrnn", "gpt"]
ROWS = [*TRAINING, "odd", "whole", "infer"]
BLAS = "_openblas"  # added to the name of nnc's program that calls it


STEPS = [Peer("torch_eager", "torch_steps.py", False, "torch"),
         Peer("keras_jax", "keras_fit.py", False, "keras", {"KERAS_BACKEND": "jax"}),
         Peer("keras_tf", "keras_fit.py", False, "tensorflow", {"KERAS_BACKEND": "tensorflow"}),
         Peer("torch_compile", "torch_steps.py", True, "torch", {"BENCH_FORM": "compile"}),
         Peer("jax_scan_unroll1", "jax_scan.py", True, "jax", {"BENCH_UNROLL": "1"}),
         Peer("jax_scan_unroll4", "jax_scan.py", True, "jax", {"BENCH_UNROLL": "4"})]
INFER = [Peer("onnxruntime", "onnx_infer.py", True, "onnxruntime")]
WHOLE = [Peer("keras_jax", "keras_whole.py", False, "keras", {"KERAS_BACKEND": "jax"}),
         Peer("keras_tf", "keras_whole.py", False, "tensorflow", {"KERAS_BACKEND": "tensorflow"})]


def cases_of(row):
    if row == "whole":
        return [Case("whole", {}, WHOLE, WORK, "whole", "whole program")]
    if row == "infer":
        return [Case(other, {"batch": n}, INFER, WORK, "infer", f"{other} forward, batch {n}")
                for other in ("seed", "conv") for n in (1, 32)]
    if row == "odd":
        sizes = [("odd_dense", {"batch": 7}), ("odd_dense", {"batch": 33}), ("odd_conv", {})]
        less = [Case(other, {"batch": Row(other).batch - 1}, [], WORK) for other in TRAINING]
        return [Case(name, constants, STEPS, WORK) for name, constants in sizes] + less
    return [Case(row, {}, STEPS, WORK)]


def build(case, blas=False):
    """The generated program, and what it took to make it. With `blas` the one that calls OpenBLAS."""
    row, source, program = case.row, case.folder / f"{case.row}.c", case.folder / f"nnc{BLAS * blas}_program"
    includes = [f"-I{case.folder}", f"-I{ROOT / 'runtime'}"]
    options = ["--cpu=native", *case.defines(), *([] if case.kind == "whole" else ["--lib"]),
               *(["--blas=openblas"] if blas else [])]
    nnc_seconds = timed([NNC, HERE / "rows" / f"{row}.nn", *options, "-o", source], case.folder)
    harness = []
    if case.kind != "whole":
        timed([CC, *FLAGS, *includes, *case.macros(), "-c", HERE / "nnc_steps.c"], case.folder)
        harness = ["nnc_steps.o"]
    command = [CC, *FLAGS, "-fopenmp", *includes, source, *harness, *LIBRARIES, *(["-lopenblas"] if blas else []), "-lm", "-o",
               program]
    cc_seconds = timed(command, case.folder)
    return {"nnc_seconds": nnc_seconds, "cc_seconds": cc_seconds, "lines": len(source.read_text().splitlines()),
            "binary": program.stat().st_size}


def run(case, commands, log, environment):
    """The result of a program: the line of JSON that it leaves, with its time from start to the first step. Whole programs are
    measured from outside: the sum of the times of all commands, the largest memory."""
    if case.kind != "whole":
        start = time.monotonic()
        output = output_of(commands[0], case, log, environment)
        result = json.loads(output.splitlines()[-1]) if output else None
        return result and result | {"first": result["first"] - start}
    outputs = [output_of([WORK / "meter", *command], case, log, environment) for command in commands]
    if None in outputs:
        return None
    values = [output.split() for output in outputs]
    microseconds = sum(float(seconds) for seconds, _ in values) * 1e6
    return {"best": microseconds, "median": microseconds, "memory": max(int(memory) for _, memory in values)}


def ours(case, options):
    """The programs of nnc that take part."""
    if options.peers_only:
        return []
    return ["nnc", f"nnc{BLAS}"] if options.blas and case.kind != "whole" else ["nnc"]


def turn(case, options, log, seconds):
    """Every program of a case once. Gives the results, and whether all are there."""
    python, results = sys.executable, []
    losses = {"BENCH_EPOCHS": "1"} if seconds and case.model.compared else {}  # compare() takes them
    for name in ours(case, options):
        program = case.folder / f"{name}_program"
        commands = [[program, verb] for verb in ("fit", "evaluate", "predict")]
        if case.kind != "whole":
            commands = [[program, case.folder, options.cores, seconds, *(["predict"] if case.kind == "infer" else [])]]
        result = run(case, commands, log, {})
        results.append(result and result | {"program": name})
    for peer in case.peers:
        command = [python, HERE / "peers" / peer.script, case.row, case.folder, *case.arguments()]
        result = run(case, [command], log, {"BENCH_SECONDS": str(seconds), **losses, **peer.environment})
        results.append(result and result | {"program": peer.name, "tuned": peer.tuned})
    return [r for r in results if r], None not in results


def measure(case, options, cores):
    """All rounds of a case, as a dictionary for report.py."""
    entry = {"row": case.row, "title": case.title, "kind": case.kind, "batch": case.model.batch, "peak": 0, "results": [],
             "flops": case.model.flops(training=case.kind == "train"), "complete": True}
    make_data.make(case.model, case.folder)
    for name in reversed(ours(case, options)):
        entry |= build(case, blas=name.endswith(BLAS))
    all_cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)  # the programs inherit it
    with open(case.folder / "log.txt", "w") as log:
        for _ in range(options.rounds):
            peak = output_of([WORK / "peak", options.cores], case, log, {})
            results, complete = turn(case, options, log, options.seconds)
            entry["peak"] = max(entry["peak"], float(peak))
            entry["results"] += results
            entry["complete"] &= complete
    os.sched_setaffinity(0, all_cores)
    return entry


def compare(case, options, entry):
    """The losses, where the file says that they are compared with other constants than the time is taken with."""
    other = case.compared()
    make_data.make(other.model, other.folder)
    for name in ours(other, options):
        build(other, blas=name.endswith(BLAS))
    with open(other.folder / "log.txt", "w") as log:
        results, complete = turn(other, options, log, seconds=0)
    losses = {r["program"]: r["loss"] for r in results}
    for result in entry["results"]:
        result["loss"] = losses.get(result["program"])
    entry["complete"] &= complete


def cores_to_use(count):
    """The first cores that this process may use, and whether two of them are threads of one."""
    cores = set(sorted(os.sched_getaffinity(0))[:count])
    siblings = pathlib.Path(f"/sys/devices/system/cpu/cpu{min(cores)}/topology/thread_siblings_list")
    ranges = [part.split("-") for part in siblings.read_text().split(",")] if siblings.exists() else []
    return cores, any(len(cores & set(range(int(part[0]), int(part[-1]) + 1)) - {min(cores)}) for part in ranges)


def options_of(arguments):
    parser = argparse.ArgumentParser(prog="bench/run.sh")
    parser.add_argument("--rows", default="all", help=f"all, or a list of {','.join(ROWS)}")
    parser.add_argument("--cores", type=int, choices=(1, 2), default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3, help="how long each program measures in a round")
    parser.add_argument("--blas", action="store_true", help="nnc a second time, with --blas=openblas")
    parser.add_argument("--peers-only", action="store_true", help="without nnc")
    options = parser.parse_args(arguments)
    options.rows = ROWS if options.rows == "all" else options.rows.split(",")
    for row in options.rows:
        if row not in ROWS:
            parser.error(f"no row called {row} (there are: {', '.join(ROWS)})")
    return options


def main():
    options = options_of(sys.argv[1:])
    WORK.mkdir(parents=True, exist_ok=True)
    subprocess.run([CC, *FLAGS, HERE / "peak.c", "-pthread", "-o", WORK / "peak"], check=True)
    subprocess.run([CC, *FLAGS, HERE / "meter.c", "-o", WORK / "meter"], check=True)
    cores, shared = cores_to_use(options.cores)
    threads = str(options.cores)
    os.environ |= {"OMP_NUM_THREADS": threads, "NNC_THREADS": threads, "BENCH_CORES": threads, "OMP_PROC_BIND": "true",
                   "JAX_PLATFORMS": "cpu"}
    compiler = subprocess.run([CC, "--version"], capture_output=True, text=True).stdout.splitlines()[0]
    entries = []
    for case in (case for row in options.rows for case in cases_of(row)):
        print(f"bench: {case.title}", file=sys.stderr)
        entries.append(measure(case, options, cores))
        if case.model.compared and case.kind == "train" and (case.peers or options.blas):
            compare(case, options, entries[-1])
        data = {"cores": options.cores, "rounds": options.rounds, "compiler": compiler, "shared": shared, "cases": entries}
        (WORK / f"results-{options.cores}.json").write_text(json.dumps(data, indent=1))
    return report.write(WORK, options.cores)


if __name__ == "__main__":
    sys.exit(main())

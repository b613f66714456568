"""Builds, checks and measures what nnc writes for a GPU, beside its peers, and leaves tables and a chart.

Needs: see gpu.sh. Leaves in build/bench-gpu or --work: a folder for each program; there or in --out: results-gpu.json, which
later calls add to, report-gpu.md, chart-gpu.svg.
"""
import argparse
import dataclasses
import json
import os
import pathlib
import re
import subprocess
import sys
import time
import traceback

if "--dry-run" in sys.argv:
    os.environ["BENCH_BATCHES"] = "4"  # before rows.py is read

import gpu_build  # noqa: E402
import gpu_checks  # noqa: E402
import gpu_report  # noqa: E402
from cases import HERE, ROOT, Case, Peer  # noqa: E402
from gpu_build import BuildError  # noqa: E402
from live import Device, Live  # noqa: E402

PARTS = ["build", "checks", "rows", "sanitizer", "report"]  # the longest last
ARCHITECTURE = "sm_90"  # where no device says its own
PROBE_SECONDS = 180  # for the import of a peer
FEW_SAMPLES, FEW_BATCHES = 4, 2  # of a rehearsal and of the sanitizer; the latter's
EMULATION_SECONDS = 40  # after which an emulated program is left out

PEERS = [Peer("torch_eager", "torch_steps.py", False, "torch"),
         Peer("torch_graph", "torch_steps.py", True, "torch", {"BENCH_FORM": "graph"}),
         Peer("torch_compile", "torch_steps.py", True, "torch", {"BENCH_FORM": "compile"}),
         Peer("jax_scan_unroll1", "jax_scan.py", True, "jax", {"BENCH_UNROLL": "1"}),
         Peer("jax_scan_unroll4", "jax_scan.py", True, "jax", {"BENCH_UNROLL": "4"})]

LIBRARY = Peer("nnc_library", "", None, "json")  # nnc's program with --blas=cublaslt and --dnn=cudnn, with --library

# Name: row, constants, precision.
ROWS = {"seed": ("seed", {}, "float32"),
        "mnist": ("mnist", {}, "float32"),
        "narrow": ("narrow", {}, "mixed_bfloat16"),
        "mlp512": ("mlp512", {}, "float32"),
        "wide": ("wide", {"batch": 4096}, "tf32"),
        "conv": ("conv", {}, "float32"),
        "conv1024": ("conv", {"batch": 1024}, "float32"),
        "resnet": ("resnet", {}, "float32"),
        "gru128": ("gru", {"units": 128}, "float32"),
        "gru32": ("gru", {"batch": 32}, "float32"),
        "charrnn": ("charrnn", {}, "float32"),
        "charrnn32": ("charrnn", {"batch": 32}, "float32")}
SANITIZED = ["seed", "mnist", "conv", "gru32", "charrnn32"]  # if no rows are asked for


def say(text):
    print(f"bench: {text}", file=sys.stderr, flush=True)


class TimeIsOver(Exception):
    """--minutes have passed."""


def seconds_left(options, limit):
    """Of `limit`, what is left until --minutes have passed."""
    left = options.deadline - time.monotonic()
    if left < 1:
        raise TimeIsOver
    return min(limit, left)


def one_of_many(options, data, name, action):
    """One of several things to do: what goes wrong is a line of the report, and the others are done all the same."""
    try:
        seconds_left(options, 1)
        action()
    except TimeIsOver:
        data["checks"][name] = gpu_checks.line(name, None, f"left out, the {options.minutes:g} minutes are over")
    except Exception as error:  # whatever: hours of a device may hang on it
        traceback.print_exc()
        data["checks"][name] = gpu_checks.line(name, False, f"{type(error).__name__}: {error}")
    else:
        data["checks"].pop(name, None)
    save(options, data)


@dataclasses.dataclass
class GpuCase(Case):
    """name: of ROWS. note: why there is no program of nnc; failed: because it could not be made. built: what making it took."""
    name: str = ""
    note: str = ""
    failed: bool = False
    library_launches: int = None
    built: dict = dataclasses.field(default_factory=dict)


def case_of(name, peers, work, small=False):
    """small: with a few samples in a batch."""
    row, constants, precision = ROWS[name]
    constants = {**constants, "batch": FEW_SAMPLES} if small else constants
    case = GpuCase(row, constants, peers, work, precision=precision, name=name)
    if row == "gru":
        case.title = f"gru of {case.model.names['units']}, batch {case.model.batch}"
    return case


def library_program(case, where):
    return case.folder / "library" / f"{where}_program"


def build_row(case, gpu, where, library=False):
    """nnc's program of a case, and what it took to make it. library: the one that calls cuBLASLt and cuDNN, if it does."""
    program = library_program(case, where) if library else case.folder / f"{where}_program"
    folder = program.parent
    folder.mkdir(parents=True, exist_ok=True)
    source = folder / f"{case.row}.cu"
    options = [*gpu_build.target_options(case.precision, gpu), *case.defines(), *(["--blas=cublaslt", "--dnn=cudnn"] if library else [])]
    nnc_seconds = gpu_build.generate(HERE / "rows" / f"{case.row}.nn", source, options, folder)
    if library and not gpu_build.libraries_of(source):
        program.unlink(missing_ok=True)
        return {}
    nvcc_seconds = gpu_build.cuda_program(program, source, HERE / "nnc_device.cu", where, case.macros())
    text = source.read_text()
    step = re.search(rf"^static void {case.row}_train_step\(.*?^}}", text, re.M | re.S)
    return {"nnc_seconds": nnc_seconds, "nvcc_seconds": nvcc_seconds, "lines": len(text.splitlines()),
            **({"launches": step[0].count("nnrt_device_launched(")} if step else {})}


def make_data(case, batches=None):
    """batches: fewer than a data set has."""
    import make_data as maker  # needs numpy, which nothing else here does

    if batches:
        case.model.samples = batches * case.model.batch
    maker.make(case.model, case.folder)


def environment_of(peer, case, options):
    return {"BENCH_SECONDS": "-", "BENCH_PRECISION": case.precision, **peer.environment,
            "BENCH_DEVICE": "cpu" if options.dry_run else "cuda", "JAX_PLATFORMS": "cpu" if options.dry_run else "cuda",
            "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}  # else JAX takes most of the device's memory at once


def start(case, options, log):
    """The programs of a case, one after the other, so that none is in the way of another's start."""
    python, commands = sys.executable, []
    if not case.note:
        commands = [(None, [case.folder / f"{options.where}_program", case.folder, 1, "-"])]
    if not case.note and options.library and library_program(case, options.where).exists():
        commands += [(LIBRARY, [library_program(case, options.where), case.folder, 1, "-"])]
    commands += [(peer, [python, HERE / "peers" / peer.script, case.row, case.folder, *case.arguments()])
                 for peer in case.peers]
    return [(peer, Live(command, case, log, environment_of(peer, case, options) if peer else {}, options.device,
                        seconds_left(options, options.our_limit if peer in (None, LIBRARY) else options.limit)))
            for peer, command in commands]


def answered(peer, live, options):
    """Did it start? That the emulation is slow is no failure."""
    return bool(live.first) or (peer in (None, LIBRARY) and live.late and options.dry_run)


def named(peer, result):
    return result | ({"program": peer.name, "tuned": peer.tuned} if peer else {"program": "nnc"})


def measure(case, options):
    """All rounds of a case, as a dictionary for gpu_report.py."""
    entry = {"row": case.row, "title": case.title, "kind": "train", "batch": case.model.batch, "gpu": options.gpu,
             "precision": case.precision, "flops": case.model.flops(), "results": [], "complete": not case.failed,
             "note": case.note, **case.built}
    make_data(case)
    with open(case.folder / "log.txt", "w") as log:
        programs = start(case, options, log)
        entry["complete"] &= all(answered(peer, live, options) for peer, live in programs)
        if any(live.late and peer is None for peer, live in programs):
            entry["note"] = f"no answer in {options.our_limit:.0f} s"
        programs = [(peer, live) for peer, live in programs if live.first or live.close()]
        for _ in range(options.rounds):
            for peer, live in programs:
                result = live.turn(options.seconds)
                entry["results"] += [named(peer, result)] if result else []
                entry["complete"] &= bool(result)
        counts = {peer.name: (live.ask("launches") or {}).get("launches") for peer, live in programs
                  if peer not in (None, LIBRARY)}
        counts[LIBRARY.name] = case.library_launches
        for _, live in programs:
            live.close()
    for result in entry["results"]:
        if result["program"] in counts:
            result["launches"] = counts[result["program"]]
    return entry


def compare(case, options, entry):
    """The losses, where the file says that they are compared with other constants than the time is taken with."""
    other = case.compared()
    make_data(other)
    losses = {}
    with open(other.folder / "log.txt", "w") as log:
        for peer, live in start(other, options, log):
            losses |= {named(peer, live.first)["program"]: live.first["loss"]} if live.first else {}
            entry["complete"] &= answered(peer, live, options)
            live.close()
    for result in entry["results"]:
        result["loss"] = losses.get(result["program"])


def build_case(case, options):
    """What nnc has not, is a note of the case; so is what cannot be made."""
    try:
        case.built = build_row(case, options.gpu, options.where)
        if options.library:
            case.library_launches = build_row(case, options.gpu, options.where, library=True).get("launches")
        if case.model.compared:
            build_row(case.compared(), options.gpu, options.where)
            if options.library:
                build_row(case.compared(), options.gpu, options.where, library=True)
        if options.dry_run and gpu_build.NVCC:  # the real sizes too
            build_row(case_of(case.name, [], options.work), options.gpu, options.gpu)
    except gpu_build.NotBuilt as error:
        case.note = f"not built: {error}"
    except Exception as error:
        case.note, case.failed = f"failed: {error}", True
    return case


def cases_of(options, peers):
    cases = [case_of(name, peers, options.work, options.dry_run) for name in options.rows]
    return [case for case, _ in gpu_build.all_at_once(lambda case: build_case(case, options), cases)]


def built_examples(options):
    """[(example, None or its error)]"""
    examples = [gpu_checks.Example(name, variant, options.work, options.gpu, options.where) for name in options.examples
                for variant in options.variants]
    return gpu_build.all_at_once(gpu_checks.Example.build, examples)


def part_build(options, data):
    """One line for all that is built, and one for each that is not."""
    cases, examples = cases_of(options, []), built_examples(options)
    if not options.dry_run:
        small = [case_of(name, [], options.work, small=True) for name in options.sanitized]
        cases += [case for case, _ in gpu_build.all_at_once(lambda case: build_case(case, options), small)]
    others = [(case.title, case.note, case.failed) for case in cases if case.note]
    others += [(example.name, str(error), not isinstance(error, gpu_build.NotBuilt)) for example, error in examples if error]
    data["checks"] = {name: check for name, check in data["checks"].items() if not name.startswith("build")}
    data["checks"]["build"] = gpu_checks.line(f"{len(cases) + len(examples) - len(others)} programs built", True)
    for title, note, failed in others:
        data["checks"][f"build {title}"] = gpu_checks.line(f"{title} is built", False if failed else None, note)


def check_one(example, failed, options, data):
    if isinstance(failed, gpu_build.NotBuilt):
        checks = [gpu_checks.line(f"{example.name}, like C after steps", None, str(failed))]
    elif failed:
        checks = [gpu_checks.line(f"{example.name}, like C after steps", False, str(failed))]
    else:
        checks = gpu_checks.check_example(example, seconds_left(options, options.our_limit), options.steps)
    for check in checks:
        data["checks"][check["name"]] = check
        save(options, data)


def part_checks(options, data):
    for example, failed in built_examples(options):
        one_of_many(options, data, f"check of {example.name}", lambda: check_one(example, failed, options, data))


def sanitize_one(name, options, data):
    case = case_of(name, [], options.work, small=True)
    try:
        build_row(case, options.gpu, options.where)
        make_data(case, FEW_BATCHES)
        checks = gpu_checks.sanitize(case.title, [case.folder / f"{options.where}_program", case.folder, 1, 0], case.folder,
                                     lambda: seconds_left(options, options.limit))
    except BuildError as error:
        ok = None if isinstance(error, gpu_build.NotBuilt) else False
        checks = [gpu_checks.line(f"{case.title}, compute-sanitizer", ok, str(error))]
    for check in checks:
        data["checks"][check["name"]] = check
        save(options, data)


def part_sanitizer(options, data):
    why = "no device" if not options.device.name else "no compute-sanitizer" if not gpu_checks.SANITIZER else None
    if why:
        data["checks"]["compute-sanitizer"] = gpu_checks.line("compute-sanitizer", None, why)
        return
    for name in options.sanitized:
        one_of_many(options, data, f"compute-sanitizer of {name}", lambda: sanitize_one(name, options, data))


def measure_one(case, options, data):
    say(f"{case.title}, {case.precision}" + (f": {case.note}" if case.note else ""))
    entry = measure(case, options)
    data["cases"][case.name] = entry
    if case.model.compared and case.peers:
        for result in entry["results"]:  # until those are known
            result["loss"] = None
        save(options, data)
        compare(case, options, entry)


def part_rows(options, data):
    peers = [peer for peer in PEERS if peer.name in options.peers]
    for case in cases_of(options, peers):
        one_of_many(options, data, f"row {case.name}", lambda: measure_one(case, options, data))


def save(options, data):
    """All that is known until now, and the report of it; a run that is cut off has left both."""
    fresh = options.out / "results-gpu.json.new"
    fresh.write_text(json.dumps(data, indent=1))
    fresh.replace(options.out / "results-gpu.json")
    try:
        gpu_report.write(options.out, data, aloud=False)
    except Exception:
        traceback.print_exc()


def previous(options, data):
    """Adds the results that are there already and those of --add, if they are of the same device."""
    for path in (options.out / "results-gpu.json", *map(pathlib.Path, options.add)):
        if not path.exists():
            continue
        try:
            other = json.loads(path.read_text())
        except ValueError:
            say(f"{path} cannot be read: left out")
            continue
        if options.parts == ["report"] and not data["cases"] and not data["checks"]:
            data |= {key: other[key] for key in ("device", "rehearsal", "rounds", "compiler")}
        if (other["device"], other["rehearsal"]) == (data["device"], data["rehearsal"]):
            data["cases"] |= other["cases"]
            data["checks"] |= other["checks"]
        else:
            say(f"{path} is of {other['device'] or 'no device'}: left out")


def works(python_code, environment=None):
    try:
        return gpu_build.run_limited([sys.executable, "-c", python_code], PROBE_SECONDS, environment=environment).returncode == 0
    except subprocess.TimeoutExpired:
        return False


def missing(options):
    """What is not here, one line each; peers that cannot run are taken out of options.peers."""
    lines = []
    if not options.device.name:
        lines.append(f"No device: {options.device.missing}; nothing of its speed is measured, and compute-sanitizer is skipped.")
    if not gpu_build.NVCC:
        lines.append("No nvcc: what was not built before is skipped.")
    if options.device.name and not gpu_checks.SANITIZER:
        lines.append("No compute-sanitizer: its checks are skipped.")
    if "rows" not in options.parts:
        return lines
    for module, on_device, environment in (("torch", "torch.cuda.is_available() or exit(1)", {}),
                                           ("jax", "jax.devices('cuda')", {"JAX_PLATFORMS": "cuda"})):
        if not works(f"import {module}"):
            lines.append(f"No {module}: its columns stay empty.")
        elif not options.dry_run and not works(f"import {module}; {on_device}", environment):
            lines.append(f"{module} without CUDA: its columns stay empty.")
        else:
            continue
        options.peers = [peer for peer in options.peers if not peer.startswith(module)]
    if not works("import numpy, safetensors.numpy"):
        lines.append("No numpy and safetensors, which make the data: no row can be measured.")
        options.parts = [part for part in options.parts if part not in ("rows", "sanitizer")]
    return lines


def chosen(parser, text, there, what):
    """A list with commas, or all."""
    names = list(there) if text == "all" else text.split(",") if text else []
    for name in names:
        if name not in there:
            parser.error(f"no {what} called {name} (there are: {', '.join(there)})")
    return names


def options_of(arguments):
    parser = argparse.ArgumentParser(prog="bench/gpu.sh", 
                                     description="nnc on a GPU: build, check, measure beside PyTorch and JAX.")
    parser.add_argument("--part", default="all", help="all, or a list of " + ",".join(PARTS))
    parser.add_argument("--rows", default="", help=f"a list of {','.join(ROWS)}; all, but for the sanitizer the small ones")
    parser.add_argument("--examples", default="all", help="which examples are checked")
    parser.add_argument("--variants", default="", help=f"how they are compiled: a list of {','.join(gpu_checks.VARIANTS)}; "
                        "all of them, of a rehearsal float32")
    parser.add_argument("--steps", default="1,10,100", help="after how many steps they are checked")
    parser.add_argument("--peers", default="all", help=f"a list of {','.join(p.name for p in PEERS)}")
    parser.add_argument("--library", action="store_true",
                        help="nnc a second time, with --blas=cublaslt and --dnn=cudnn, in rows that have something for them")
    parser.add_argument("--rounds", type=int, default=3, help="how many times the programs take turns")
    parser.add_argument("--seconds", type=float, default=1, help="how long a program measures in a round")
    parser.add_argument("--limit", type=float, default=300, help="seconds after which a program is given up")
    parser.add_argument("--minutes", type=float, default=0, help="after which nothing more is begun, and the report is made")
    parser.add_argument("--gpu", default="", help=f"architecture to build for; default that of the device, else {ARCHITECTURE}")
    parser.add_argument("--work", type=pathlib.Path, default=ROOT / "build" / "bench-gpu", help="folder of the programs")
    parser.add_argument("--out", type=pathlib.Path, help="folder of the results; default that of the programs")
    parser.add_argument("--add", default="", help="results-gpu.json of earlier calls that belong to this report")
    parser.add_argument("--dry-run", action="store_true",
                        help="a rehearsal without a device: nvcc compiles, nnc runs on the emulation, the peers on the processor")
    options = parser.parse_args(arguments)
    if options.seconds <= 0 or options.rounds < 1:
        parser.error("--seconds and --rounds are larger than 0")
    options.our_limit = min(options.limit, EMULATION_SECONDS) if options.dry_run else options.limit
    options.parts = chosen(parser, options.part, PARTS, "part")
    options.sanitized = chosen(parser, options.rows, ROWS, "row") or SANITIZED
    options.rows = chosen(parser, options.rows or "all", ROWS, "row")
    options.examples = chosen(parser, options.examples, gpu_checks.examples(), "example")
    options.variants = chosen(parser, options.variants or ("float32" if options.dry_run else "all"), gpu_checks.VARIANTS, "variant")
    options.deadline = time.monotonic() + options.minutes * 60 if options.minutes > 0 else float("inf")
    options.peers = chosen(parser, options.peers, [p.name for p in PEERS], "peer")
    options.add = options.add.split(",") if options.add else []
    options.steps = [int(count) for count in options.steps.split(",") if count.isdigit() and int(count)]
    options.work = options.work.resolve()
    options.out = (options.out or options.work).resolve()
    return options


def main():
    options = options_of(sys.argv[1:])
    options.device = Device.find()
    options.gpu = options.gpu or options.device.architecture or ARCHITECTURE
    options.where = "emulated" if options.dry_run else options.gpu
    if options.dry_run:
        options.device = dataclasses.replace(options.device, name="", missing=options.device.missing or "this is a rehearsal")
    if not options.device.name and not options.dry_run and set(options.parts) - {"build", "report"}:
        say(f"no device: {options.device.missing}. Nothing was built or measured. --dry-run tries everything that needs no "
            f"device, --part=build compiles for --gpu={ARCHITECTURE}.")
        return 2
    for folder in (options.work, options.out):
        folder.mkdir(parents=True, exist_ok=True)
    lines = missing(options)
    for text in lines:
        say(text)
    try:
        if options.parts != ["report"]:
            gpu_build.build_nnc(say)
    except BuildError as error:
        say(error)
        return 2
    compiler = subprocess.run([gpu_build.NVCC, "--version"], capture_output=True, text=True).stdout if gpu_build.NVCC else ""
    data = {"device": options.device.name, "rehearsal": options.dry_run, "rounds": options.rounds, "missing": lines,
            "compiler": re.sub(r"[\s\S]*(release [\d.]+)[\s\S]*", r"nvcc \1", compiler) or "no nvcc", "cases": {}, "checks": {}}
    previous(options, data)
    for part, action in (("build", part_build), ("checks", part_checks), ("sanitizer", part_sanitizer), ("rows", part_rows)):
        if part in options.parts:
            one_of_many(options, data, f"part {part}", lambda: action(options, data))
    save(options, data)
    return gpu_report.write(options.out, data)


if __name__ == "__main__":
    sys.exit(main())

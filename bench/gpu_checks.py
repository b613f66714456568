"""Is what the GPU computes right? Every example against the C program, twice for the same bits; and compute-sanitizer.

Needs: programs of gpu_build.py; no Python package. Leaves: one line a check, as {"name", "ok", "said"}; ok None: skipped.

The bound is that of `nnc run --check`, where it is explained and from where its numbers are read (driver/check.c). It is
measured here again, for --check compiles what it runs, for the processor it runs on; these programs are built beforehand, by
one command, and carried to a device.
"""
import array
import json
import math
import os
import random
import re
import shutil
import struct
import subprocess

import gpu_build
from cases import HERE, ROOT

# How nnc makes the program for the GPU, and the precision that its bound is of.
VARIANTS = {"float32": ([], "FLOAT32"),
            "tf32": (["--precision=tf32"], "TF32"),
            "mixed_bfloat16": (["--precision=mixed_bfloat16"], "BFLOAT16"),
            "libraries": (["--blas=cublaslt", "--dnn=cudnn"], "FLOAT32")}
TOOLS = ("memcheck", "racecheck", "initcheck", "synccheck")
SANITIZER = shutil.which("compute-sanitizer") or (
    "/usr/local/cuda/bin/compute-sanitizer" if os.path.exists("/usr/local/cuda/bin/compute-sanitizer") else None)


def examples():
    return sorted(path.stem for path in (ROOT / "examples").glob("*.nn"))


def number_of_check(pattern):
    return float.fromhex(re.search(pattern, (ROOT / "driver" / "check.c").read_text())[1])


ROOM, MOVED_RUNS = number_of_check(r"#define ROOM (\d+)"), int(number_of_check(r"RUNS_MOVED = (\d+)"))


def read_weights(path):
    """{name: (dtype, values)} of a .safetensors file."""
    data = path.read_bytes()
    length, = struct.unpack("<Q", data[:8])
    header, start = json.loads(data[8:8 + length]), 8 + length
    header.pop("__metadata__", None)
    kinds = {"F32": "f", "I32": "i"}
    return {name: (about["dtype"], array.array(kinds[about["dtype"]], data[start + about["data_offsets"][0]:
                                                                           start + about["data_offsets"][1]]))
            for name, about in header.items()}


def move(path, output, seed, most):
    """A copy with each float moved by at most so much of itself."""
    data, draw = bytearray(path.read_bytes()), random.Random(seed)
    length, = struct.unpack("<Q", data[:8])
    for name, about in json.loads(data[8:8 + length]).items():
        if name == "__metadata__" or about["dtype"] != "F32":
            continue
        first, last = (8 + length + offset for offset in about["data_offsets"])
        values = array.array("f", bytes(data[first:last]))
        data[first:last] = array.array("f", (v * (1 + most * draw.uniform(-1, 1)) for v in values)).tobytes()
    output.write_bytes(data)


def difference(one, other):
    """{name: largest difference}; of whole numbers 0 or infinity."""
    found = {}
    for name, (kind, values) in one.items():
        others = other[name][1]
        if kind != "F32":
            found[name] = 0 if values == others else math.inf
            continue
        apart = [abs(a - b) for a, b in zip(values, others) if not (math.isnan(a) and math.isnan(b))]
        found[name] = math.inf if any(map(math.isnan, apart)) else max(apart, default=0)
    return found


def judge(c, moved, cuda, most):
    """The worst variable: (share of its bound, its name, its difference)."""
    own = [difference(c, other) for other in moved]

    def share(name, apart):
        largest = max(map(abs, c[name][1]), default=0)
        bound = ROOM * max(o[name] for o in own) + most * largest
        return 0 if apart == 0 else apart / bound if bound else math.inf

    return max((share(name, apart), name, apart) for name, apart in difference(c, cuda).items())


class Example:
    """The two programs of an example."""

    def __init__(self, name, variant, work, gpu, where):
        self.gpu, self.where = gpu, where
        self.options, precision = VARIANTS[variant]
        self.move = number_of_check(rf"PRECISION_{precision}\] = (0x1p-\d+)")
        self.file = ROOT / "examples" / f"{name}.nn"
        self.name = name if variant == "float32" else f"{name} ({variant})"
        self.folder = work / (f"check-{name}" if variant == "float32" else f"check-{name}-{variant}")
        self.needs_library = variant == "libraries"
        self.c, self.cuda = self.folder / "c_program", self.folder / f"{where}_program"

    def build(self):
        self.folder.mkdir(parents=True, exist_ok=True)
        harness = HERE / "first_steps.c"
        c, cuda = self.folder / "c.c", self.folder / "cuda.cu"
        gpu_build.generate(self.file, c, ["--cpu=generic"], self.folder)
        try:
            gpu_build.generate(self.file, cuda, gpu_build.target_options("float32", self.gpu) + self.options, self.folder)
        except gpu_build.BuildError as error:
            raise gpu_build.NotBuilt(str(error)) if "has no tensor cores" in str(error) else error
        if self.needs_library and not gpu_build.libraries_of(cuda):
            raise gpu_build.NotBuilt("nothing in it is for a library")
        gpu_build.c_program(self.c, c, harness)
        gpu_build.cuda_program(self.cuda, cuda, harness, self.where)

    def train(self, program, steps, start, result, limit):
        """Weights after so many steps from those of `start`; the program runs beside the examples' data."""
        output = self.folder / f"{result}.safetensors"
        command = [program, "fit", f"--initial-weights={self.folder / start}.safetensors", f"--weights={output}", "--seed=3",
                   f"--epochs={steps}", "--verbose=0", *(["--batch-size=2"] if self.where == "emulated" else [])]
        environment = {**os.environ, "FIRST_STEPS": str(steps)}
        done = gpu_build.run_limited(command, limit, ROOT / "examples", environment)
        if done.returncode:
            raise gpu_build.BuildError(f"{program.name}: {(done.stderr.strip().splitlines() or ['failed'])[-1]}")
        return output

    def start(self):
        gpu_build.command_output([self.c, "init", "--seed=5", f"--weights={self.folder / 'first.safetensors'}"],
                                 ROOT / "examples")
        for i in range(MOVED_RUNS):
            move(self.folder / "first.safetensors", self.folder / f"moved{i}.safetensors", i, self.move)

    def compare(self, steps, limit):
        """After so many steps: the worst variable, and whether two runs have the same bits."""
        files = [self.train(self.cuda, steps, "first", f"cuda{i}", limit) for i in (1, 2)]
        c = read_weights(self.train(self.c, steps, "first", "c", limit))
        moved = [read_weights(self.train(self.c, steps, f"moved{i}", f"c{i}", limit)) for i in range(MOVED_RUNS)]
        return judge(c, moved, read_weights(files[0]), self.move), files[0].read_bytes() == files[1].read_bytes()


def check_example(example, limit, steps):
    """Two lines: as C, and twice the same."""
    parts, good, equal = [], True, True
    for count in steps:
        try:
            example.start()
            (share, name, apart), same = example.compare(count, limit)
        except gpu_build.BuildError as error:
            parts, good = [*parts, f"{count}: {error}"], False
            break
        except subprocess.TimeoutExpired:
            parts.append(f"{count}: not done in {limit:.0f} s, left out")
            break
        good, equal = good and share <= 1, equal and same
        parts.append(f"{count}: {apart:.1e} in {name}, {share:.2f} of the bound")
    compared = sum("of the bound" in part for part in parts)
    yield line(f"{example.name}, like C after steps", good if compared or not good else None, "; ".join(parts))
    yield line(f"{example.name}, twice the same bits", equal if compared else None, "" if compared else "nothing was compared")


def line(name, ok, said=""):
    found = {"name": name, "ok": ok, "said": said}
    print(text_of(found), flush=True)
    return found


def text_of(check):
    word = {True: "ok", False: "FAILED", None: "skipped"}[check["ok"]]
    return f"{check['name']}: {word}" + (f" ({check['said']})" if check["said"] else "")


def sanitize(title, command, folder, limit):
    """A program under each tool of compute-sanitizer. limit: asked for each of them."""
    for tool in TOOLS:
        name = f"{title}, {tool}"
        seconds = limit()
        words = [SANITIZER, f"--tool={tool}", "--error-exitcode=9", *map(str, command)]
        try:
            done = gpu_build.run_limited(words, seconds, folder)
        except subprocess.TimeoutExpired:
            yield line(name, None, f"not done in {seconds:.0f} s")
            continue
        (folder / f"{tool}.txt").write_text(done.stdout + done.stderr)
        counts = re.findall(r"(?:ERROR|RACECHECK) SUMMARY: (.*)", done.stdout + done.stderr)
        said = counts[-1] if counts else ((done.stderr or done.stdout).strip().splitlines() or ["it said nothing"])[-1]
        yield line(name, done.returncode == 0 and bool(counts), said)

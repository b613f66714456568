"""Is what the GPU computes right? Every example against the C program, twice for the same bits; and compute-sanitizer.

Needs: programs of gpu_build.py; no Python package. Leaves: one line a check, as {"name", "ok", "said"}; ok None: skipped.

The bound: the C program is started again from weights changed by at most one unit in the last place, twice; what it
then differs from itself, after as many steps, is what rounding makes of this network. A device may differ so much times
MARGIN, and LEAST for the rounding of each step, which adds up as chance does.
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

MARGIN, LEAST = 20, 1e-6
TOOLS = ("memcheck", "racecheck", "initcheck", "synccheck")
SANITIZER = shutil.which("compute-sanitizer") or (
    "/usr/local/cuda/bin/compute-sanitizer" if os.path.exists("/usr/local/cuda/bin/compute-sanitizer") else None)


def examples():
    return sorted(path.stem for path in (ROOT / "examples").glob("*.nn"))


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


def nudge(path, output, seed):
    """A copy with each float up or down by one unit in the last place, or as it was; zeros stay."""
    data, draw = bytearray(path.read_bytes()), random.Random(seed)
    length, = struct.unpack("<Q", data[:8])
    for name, about in json.loads(data[8:8 + length]).items():
        if name == "__metadata__" or about["dtype"] != "F32":
            continue
        first, last = (8 + length + offset for offset in about["data_offsets"])
        bits = array.array("I", bytes(data[first:last]))
        for i, value in enumerate(bits):
            if value & 0x7FFFFFFF and not name.endswith("learning_rate"):
                bits[i] = value + draw.choice((-1, 0, 1))
        data[first:last] = bits.tobytes()
    output.write_bytes(data)


def distance(one, other):
    """{name: relative distance}, in the square norm; of whole numbers 0 or infinity."""
    found = {}
    for name, (kind, values) in one.items():
        others = other[name][1]
        if kind != "F32":
            found[name] = 0 if values == others else math.inf
            continue
        apart, size = math.dist(values, others), math.dist(values, array.array("f", bytes(4 * len(values))))
        found[name] = math.inf if math.isnan(apart) else apart / size if size else (math.inf if apart else 0)
    return found


def judge(c, nudged, cuda, steps):
    """The worst variable: (share of its bound, its name, its distance)."""
    own, least = [distance(c, other) for other in nudged], LEAST * math.sqrt(steps)
    return max((apart / (least + MARGIN * max(o[name] for o in own)), name, apart) for name, apart in distance(c, cuda).items())


class Example:
    """The two programs of an example."""

    def __init__(self, name, work, gpu, where):
        self.name, self.gpu, self.where = name, gpu, where
        self.file = ROOT / "examples" / f"{name}.nn"
        self.folder = work / f"check-{name}"
        self.c, self.cuda = self.folder / "c_program", self.folder / f"{where}_program"

    def build(self):
        self.folder.mkdir(parents=True, exist_ok=True)
        harness = HERE / "first_steps.c"
        c, cuda = self.folder / "c.c", self.folder / "cuda.cu"
        gpu_build.generate(self.file, c, ["--cpu=generic"], self.folder)
        gpu_build.generate(self.file, cuda, gpu_build.target_options("float32", self.gpu), self.folder)
        gpu_build.c_program(self.c, c, harness)
        gpu_build.cuda_program(self.cuda, cuda, harness, self.where)

    def train(self, program, steps, start, result, limit):
        """Weights after so many steps from those of `start`; the program runs beside the examples' data."""
        output = self.folder / f"{result}.safetensors"
        command = [program, "fit", f"--initial-weights={self.folder / start}.safetensors", f"--weights={output}", "--seed=3",
                   f"--epochs={steps}", "--verbose=0", *(["--batch-size=2"] if self.where == "emulated" else [])]
        environment = {**os.environ, "FIRST_STEPS": str(steps)}
        done = subprocess.run([str(c) for c in command], cwd=ROOT / "examples", env=environment, capture_output=True, text=True,
                              timeout=limit)
        if done.returncode:
            raise gpu_build.BuildError(f"{program.name}: {(done.stderr.strip().splitlines() or ['failed'])[-1]}")
        return output

    def start(self):
        gpu_build.command_output([self.c, "init", "--seed=5", f"--weights={self.folder / 'first.safetensors'}"],
                                 ROOT / "examples")
        for i in (1, 2):
            nudge(self.folder / "first.safetensors", self.folder / f"nudged{i}.safetensors", i)

    def compare(self, steps, limit):
        """After so many steps: the worst variable, and whether two runs have the same bits."""
        files = [self.train(self.cuda, steps, "first", f"cuda{i}", limit) for i in (1, 2)]
        c = read_weights(self.train(self.c, steps, "first", "c", limit))
        nudged = [read_weights(self.train(self.c, steps, f"nudged{i}", f"c{i}", limit)) for i in (1, 2)]
        return judge(c, nudged, read_weights(files[0]), steps), files[0].read_bytes() == files[1].read_bytes()


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
    """A program under each tool of compute-sanitizer."""
    for tool in TOOLS:
        name = f"{title}, {tool}"
        words = [SANITIZER, f"--tool={tool}", "--error-exitcode=9", *map(str, command)]
        try:
            done = subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=limit)
        except subprocess.TimeoutExpired:
            yield line(name, None, f"not done in {limit:.0f} s")
            continue
        (folder / f"{tool}.txt").write_text(done.stdout + done.stderr)
        counts = re.findall(r"(?:ERROR|RACECHECK) SUMMARY: (.*)", done.stdout + done.stderr)
        said = counts[-1] if counts else ((done.stderr or done.stdout).strip().splitlines() or ["it said nothing"])[-1]
        yield line(name, done.returncode == 0 and bool(counts), said)

"""nnc, and programs for the GPU: what nnc writes with --target=cuda, compiled by nvcc with a harness of this folder, or by
the C++ compiler for the emulation of the tests.

Needs: cmake for nnc where it is not built, nvcc, or a C++20 compiler. Leaves: programs beside a .stamp that says what they
were made of; they are not made again while that is so, also where they were carried to another machine.
"""
import concurrent.futures
import hashlib
import os
import pathlib
import re
import shutil
import signal
import subprocess
import time

from cases import CC, HERE, LIBRARIES, NNC, ROOT

EMULATION = ROOT / "tests" / "end_to_end" / "emulated_cuda"
NVCC = shutil.which("nvcc") or ("/usr/local/cuda/bin/nvcc" if os.path.exists("/usr/local/cuda/bin/nvcc") else None)
BUILD_SECONDS = 600  # after which a compiler is given up
PORTABLE = ["-std=c11", "-O2"]  # what is built here may run on another machine
RUNTIME = pathlib.Path(next((word for word in LIBRARIES if word.endswith(".a")), os.devnull))


class BuildError(Exception):
    """A program that is not there; the message is one line."""


class NotBuilt(BuildError):
    """nnc has not what this would need."""


def run_limited(command, limit, folder=None, environment=None):
    """As subprocess.run with its output; TimeoutExpired after `limit` seconds, when it and all that it has started are ended."""
    words = [str(c) for c in command]
    with subprocess.Popen(words, cwd=folder, env={**os.environ, **(environment or {})}, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace",
                          start_new_session=True) as process:
        try:
            said, wrong = process.communicate(timeout=limit)
        except BaseException:  # Ctrl-C too
            os.killpg(process.pid, signal.SIGKILL)
            raise
    return subprocess.CompletedProcess(words, process.returncode, said, wrong)


def command_output(command, folder, environment=None, limit=BUILD_SECONDS):
    """What a command says; an error with its first line, if it fails."""
    words = [str(c) for c in command]
    try:
        done = run_limited(words, limit, folder, environment)
    except subprocess.TimeoutExpired:
        raise BuildError(f"{pathlib.Path(words[0]).name}: not done in {limit:.0f} s")
    if done.returncode == 0:
        return done.stdout
    said = (done.stderr or done.stdout).strip().splitlines() or [f"status {done.returncode}"]
    said = [text for text in said if "error" in text] or said
    (pathlib.Path(folder) / "failed.txt").write_text(" ".join(words) + "\n" + done.stdout + done.stderr)
    raise BuildError(f"{pathlib.Path(words[0]).name}: {said[0]} (all of it in {folder}/failed.txt)")


def build_nnc(say):
    """nnc and its runtime, where they are not there."""
    if NNC.exists() and (RUNTIME.exists() or RUNTIME == pathlib.Path(os.devnull)):
        return
    missing = [tool for tool in ("cmake", "flex", "bison") if not shutil.which(tool)]
    if "NNC" in os.environ or missing:
        raise BuildError(f"there is no {NNC if NNC.exists() is False else RUNTIME}" +
                         (f", and no {', '.join(missing)} to build it" if missing else "") +
                         "; NNC=.../build/driver/nnc names one that was built elsewhere")
    say("building nnc")
    folder = ROOT / "build"
    folder.mkdir(exist_ok=True)
    command_output(["cmake", "-S", ROOT, "-B", folder, "-DCMAKE_BUILD_TYPE=Release"], folder)
    command_output(["cmake", "--build", folder, "--target", "nnc", "nnrt", "-j", os.cpu_count()], folder)


def generate(model, output, options, folder):
    """nnc's text. Seconds that it took."""
    start = time.monotonic()
    try:
        command_output([NNC, model, *options, "-o", output], folder)
    except BuildError as error:
        unknown = re.search(r"there is no option (--\w+)", str(error))
        raise NotBuilt(f"nnc has no {unknown[1]}") if unknown else error
    return time.monotonic() - start


def knows(option):
    """Has nnc this option?"""
    return option in subprocess.run([NNC, "--help"], capture_output=True, text=True).stdout


def target_options(precision, gpu):
    """Options of nnc for CUDA."""
    return ["--target=cuda", *([] if precision == "float32" else [f"--precision={precision}"]),
            *([f"--gpu={gpu}"] if knows("--gpu") else [])]


def libraries_of(source):
    """What its own header says that it is linked with."""
    said = re.search(r"nvcc .*", source.read_text())
    return [w for w in (said[0] if said else "").split() if w.startswith("-l") and w not in ("-lnnrt", "-lz", "-lm")]


def joined(source, harness, output):
    """One file: the harness with the program in the place of its #include SOURCE, and its name as MODEL."""
    (before, after), text = harness.read_text().split("#include SOURCE\n"), source.read_text()
    model = re.search(r"nnrt_program (\w+)_program = {", text)[1]
    output.write_text(f"#define MODEL {model}\n{before}{text}{after}")
    return output


def stamp(*parts):
    """Of texts, and of files by what is in them."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part.read_bytes() if isinstance(part, pathlib.Path) and part.exists() else str(part).encode())
    return digest.hexdigest()


def fresh(program, mark):
    """Is the program there, made of just this?"""
    file = program.with_suffix(".stamp")
    return program.exists() and file.exists() and file.read_text() == mark


def parts_of_runtime():
    """What generated programs include, and what stands in for CUDA."""
    return sorted((ROOT / "runtime").glob("*.h")) + sorted(EMULATION.iterdir())


def cuda_program(program, source, harness, gpu, steps=None):
    """`source` in a harness, for architecture `gpu` or, where that is "emulated", for the emulation. steps: macros of
    nnc_steps.c, if it belongs to the program. Seconds that it took; 0: it was there."""
    folder, includes = program.parent, [f"-I{program.parent}", f"-I{ROOT / 'runtime'}"]
    mark = stamp(source, harness, HERE / "nnc_steps.c", gpu, steps, RUNTIME, *parts_of_runtime())
    if fresh(program, mark):
        return 0
    if gpu != "emulated" and not NVCC:
        raise BuildError("there is no nvcc")
    objects, start, text = [], time.monotonic(), joined(source, harness, program.with_suffix(".cu"))
    program.with_suffix(".stamp").unlink(missing_ok=True)
    if steps:
        objects = [program.with_suffix(".o")]
        command_output([CC, *PORTABLE, *includes, *steps, "-DDEVICE", "-c", HERE / "nnc_steps.c", "-o", *objects], folder)
    words = ["-std=c++20", f"-arch={gpu}", *includes, text, *objects, *LIBRARIES, *libraries_of(source), "-lm", "-o", program]
    compiler = [EMULATION / "nvcc", "-O1"] if gpu == "emulated" else [NVCC, "-O3", "-Xlinker=--strip-all"]
    command_output([*compiler, *words], folder)
    program.with_suffix(".stamp").write_text(mark)
    return time.monotonic() - start


def c_program(program, source, harness):
    """The C that nnc writes, in a harness; for any processor, so that it may be carried."""
    mark = stamp(source, harness, RUNTIME, *parts_of_runtime())
    if fresh(program, mark):
        return
    text = joined(source, harness, program.with_suffix(".c"))
    command_output([CC, *PORTABLE, f"-I{program.parent}", f"-I{ROOT / 'runtime'}", text, *LIBRARIES, "-lm", "-o", program],
                   program.parent)
    program.with_suffix(".stamp").write_text(mark)


def all_at_once(function, things):
    """[(thing, its result or its BuildError)], with all processors."""
    def one(thing):
        try:
            return thing, function(thing)
        except BuildError as error:
            return thing, error
        except Exception as error:  # a full disk, say: the others are made all the same
            return thing, BuildError(f"{type(error).__name__}: {error}")

    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(one, things))

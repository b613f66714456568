"""What is measured, for bench.py and gpu.py: cases, that is rows with values for their constants, and their peers.

Needs: nothing. Leaves: where things are, Peer, Case, and how a command is run.
"""
import dataclasses
import importlib.util
import math
import os
import pathlib
import subprocess
import sys
import time

from rows import Row

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parent
CC = os.environ.get("CC", "gcc")
NNC = pathlib.Path(os.environ.get("NNC", ROOT / "build" / "driver" / "nnc"))
LIBRARIES = os.environ.get("NNC_LIBS", f"{NNC.parent.parent / 'runtime' / 'libnnrt.a'} -lz").split()
FLAGS = "-std=c11 -O3 -march=native -Wall -Wextra".split()


@dataclasses.dataclass
class Peer:
    """A program of bench/peers; tuned: more than a first program has. needs: a module that must be there."""
    name: str
    script: str
    tuned: bool
    needs: str
    environment: dict = dataclasses.field(default_factory=dict)


@dataclasses.dataclass
class Case:
    """A row with values for its constants, in a folder of `work`. kind: train, infer, whole."""
    row: str
    constants: dict
    peers: list
    work: pathlib.Path
    kind: str = "train"
    title: str = ""
    precision: str = "float32"

    def __post_init__(self):
        self.model = Row(self.row, **self.constants)
        self.title = self.title or f"{self.row}, batch {self.model.batch}"
        self.folder = self.work / "-".join([self.kind, self.row, *(f"{k}{v}" for k, v in self.constants.items())])
        self.peers = [p for p in self.peers if importlib.util.find_spec(p.needs)]

    def arguments(self):
        return [f"{k}={v}" for k, v in self.constants.items()]

    def compared(self):
        """The case whose losses are compared; itself, where its file says nothing else."""
        constants = {**self.constants, **self.model.compared}
        return dataclasses.replace(self, constants=constants) if self.model.compared else self

    def defines(self):
        """Options of nnc for the constants."""
        return [f"--define={argument}" for argument in self.arguments()]

    def macros(self):
        """What nnc_steps.c wants to know."""
        outputs = math.prod(self.model.output)
        return [f'-DHEADER="{self.row}.h"', f"-DMODEL={self.row}", f"-DBATCH={self.row.upper()}_BATCH", f"-DOUTPUTS={outputs}"]


def timed(command, folder):
    start = time.monotonic()
    subprocess.run([str(c) for c in command], check=True, cwd=folder)
    return time.monotonic() - start


def output_of(command, case, log, environment):
    """What a program writes; None, with a message, if it failed."""
    command = [str(c) for c in command]
    done = subprocess.run(command, env={**os.environ, **environment}, stdout=subprocess.PIPE, stderr=log, text=True,
                          cwd=case.folder)
    if done.returncode == 0:
        return done.stdout
    print(f"bench: {case.title}: {' '.join(command)} failed, see {log.name}", file=sys.stderr)
    return None

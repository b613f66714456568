"""Programs that stay alive and measure when it is their turn, so that their imports and compilers run once; and what they
hold of the device's memory.

Needs: on a GPU the driver's libraries libcuda and libnvidia-ml. Leaves: Live, Device.
"""
import ctypes
import dataclasses
import json
import os
import subprocess
import sys
import threading
import time


@dataclasses.dataclass
class Device:
    """The first GPU of the machine. name: empty if there is none; then `missing` says why."""
    name: str = ""
    missing: str = ""
    architecture: str = ""
    memory: object = None  # asks for its memory; None: nobody tells

    @staticmethod
    def find():
        try:
            cuda = ctypes.CDLL("libcuda.so.1")
        except OSError:
            return Device(missing="there is no NVIDIA driver (libcuda.so.1)")
        count, name, major, minor = ctypes.c_int(), ctypes.create_string_buffer(128), ctypes.c_int(), ctypes.c_int()
        if cuda.cuInit(0) or cuda.cuDeviceGetCount(ctypes.byref(count)) or count.value == 0:
            return Device(missing="the NVIDIA driver knows no device")
        cuda.cuDeviceGetName(name, len(name), 0)
        cuda.cuDeviceGetAttribute(ctypes.byref(major), 75, 0)  # of the compute capability
        cuda.cuDeviceGetAttribute(ctypes.byref(minor), 76, 0)
        return Device(name.value.decode(), "", f"sm_{major.value}{minor.value}", Device.memory_of())

    @staticmethod
    def memory_of():
        handle = ctypes.c_void_p()
        try:
            nvml = ctypes.CDLL("libnvidia-ml.so.1")
        except OSError:
            return None
        if nvml.nvmlInit_v2() or nvml.nvmlDeviceGetHandleByIndex_v2(0, ctypes.byref(handle)):
            return None
        return lambda memory: nvml.nvmlDeviceGetMemoryInfo(handle, memory)

    def used(self):
        """Bytes in use on the device, by everybody; None if nobody tells."""
        memory = (ctypes.c_ulonglong * 3)()  # total, free, used
        return None if not self.memory or self.memory(memory) else memory[2]


class Live:
    """A program of a case: its answers are lines of JSON. None in place of an answer: it failed, or was late."""

    def __init__(self, command, case, log, environment, device, limit):
        self.case, self.log, self.limit, self.peak, self.late = case, log, limit, None, False
        self.command = [str(c) for c in command]
        before, self.started = device.used(), time.monotonic()
        self.process = subprocess.Popen(self.command, env={**os.environ, **environment}, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=log, text=True, cwd=case.folder)
        watch = threading.Event()
        watcher = threading.Thread(target=self.watch, args=(device, before, watch))
        watcher.start()
        self.first = self.ask("0")
        watch.set()
        watcher.join()
        if self.first:
            self.first |= {"first": self.first["first"] - self.started}

    def watch(self, device, before, done):
        """The most that the device's memory grew by while this program started and trained; it is the only one that does."""
        while before is not None and not done.wait(0.005):
            self.peak = max(self.peak or 0, (device.used() or before) - before)

    def ask(self, line):
        timer = threading.Timer(self.limit, self.give_up)
        timer.start()
        try:
            self.process.stdin.write(line + "\n")
            self.process.stdin.flush()
            for answer in iter(self.process.stdout.readline, ""):
                if answer.startswith("{") and answer.endswith("}\n"):  # libraries print too
                    return json.loads(answer)
        except BrokenPipeError:
            pass
        finally:
            timer.cancel()
        why = f"gave no answer in {self.limit:.0f} s" if self.late else f"failed, see {self.log.name}"
        print(f"bench: {self.case.title}: {' '.join(self.command)} {why}", file=sys.stderr)
        return None

    def give_up(self):
        self.late = True
        self.process.kill()

    def turn(self, seconds):
        """A round's result, with what is known since the start."""
        result = self.ask(str(seconds))
        return result and result | {"first": self.first["first"], "device_memory": self.peak}

    def close(self):
        try:
            self.process.stdin.close()
        except BrokenPipeError:
            pass
        try:
            self.process.wait(self.limit)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()

"""Tables (report-gpu.md) and a chart (chart-gpu.svg) from results-gpu.json of gpu.py.

Needs: nothing. Leaves: those files, and the exit status: 1 if a check failed, losses disagree, or a program failed.
"""
import gpu_checks
from report import best_peer, chart, difference, first_step, number, peer_cell, problems, programs, reference_loss, row_of

PEERS = {"torch_eager": "PyTorch", "torch_graph": "PyTorch, CUDA graph", "torch_compile": "torch.compile", "jax": "JAX scan"}


def megabytes(value):
    return "-" if value is None else f"{value / 1e6:.0f}"


def peer_of(found, name):
    """The named peer, or the fastest of those whose names begin so."""
    return min((r for key, r in found.items() if key.startswith(name)), key=lambda r: r["value"], default=None)


def ratio_cell(peer, ours):
    return peer_cell(peer | {"program": ""}, ours).replace("  ", " ") if peer else "-"


def summary(cases):
    columns = ["row", "precision", "nnc, µs", "launches", *PEERS.values(), "nnc, MB", "least peer", "nnc, s to first step",
               "least peer"]
    lines = [row_of(columns), "|---" * len(columns) + "|"]
    for entry in cases:
        found = programs(entry)
        ours, others = found.get("nnc"), [r for r in found.values() if r.get("tuned") is not None]
        memories = [r["device_memory"] for r in others if r.get("device_memory") is not None]
        firsts = [first_step(entry, r) for r in others]
        lines.append(row_of([
            entry["title"], entry["precision"], number(ours["value"]) if ours else entry.get("note") or "-",
            str(entry.get("launches", "-")), *(ratio_cell(peer_of(found, name), ours) for name in PEERS),
            megabytes(ours and ours.get("device_memory")), megabytes(min(memories, default=None)),
            number(first_step(entry, ours)) if ours else "-", number(min(firsts, default=None))]))
    return lines


def case_table(entry):
    found = programs(entry)
    ours, reference = found.get("nnc"), reference_loss(found)
    columns = ["program", "", "median µs a step", "best", "times nnc", "TFLOP/s", "launches a step", "device memory, MB",
               "start to first step, s", "loss", "differs by"]
    lines = [f"### {entry['title']}, {entry['precision']}", "", f"{entry['flops'] / 1e6:,.3f} MFLOP a step.", "", row_of(columns),
             "|---" * len(columns) + "|"]
    for name, r in sorted(found.items(), key=lambda item: item[1]["value"]):
        apart, launches = difference(r, reference), entry.get("launches") if name == "nnc" else r.get("launches")
        lines.append(row_of([
            name, {True: "tuned", False: "default", None: ""}[r.get("tuned")], number(r["value"]), number(r["best"]),
            f"{r['value'] / ours['value']:.2f}" if ours else "-", number(entry["flops"] / r["value"] * 1e-6),
            number(launches), megabytes(r.get("device_memory")), number(first_step(entry, r)),
            "-" if r.get("loss") is None else f"{r['loss']:.7g}", "-" if apart is None else f"{apart:.1e}"]))
    if "lines" in entry:
        lines += ["", f"nnc took {entry['nnc_seconds'] * 1e3:.0f} ms to write {entry['lines']:,} lines" +
                  (f", nvcc {entry['nvcc_seconds']:.1f} s" if entry.get("nvcc_seconds") else "") + "."]
    return lines + ["", f"nnc: {entry['note']}.", ""] if entry.get("note") else lines + [""]


def write(folder, data, aloud=True):
    """The report of what was measured and checked until now; aloud: and on standard output."""
    cases, checks = list(data["cases"].values()), list(data["checks"].values())
    lines = [f"{data['device'] or 'Without a device'}, {data['rounds']} rounds, {data['compiler']}.", ""]
    if data["rehearsal"]:
        lines += ["A rehearsal: nnc on the emulation of a GPU, the peers on the processor, a few small steps. Times mean "
                  "nothing.", ""]
    lines += [f"- {text}" for text in data["missing"]] + [""] * bool(data["missing"])
    lines += [*summary(cases), ""] if cases else []
    lines += ["## Checks", "", *(f"- {gpu_checks.text_of(check)}" for check in checks), ""] if checks else []
    for entry in cases:
        lines += case_table(entry)
    wrong = problems({"cases": cases}) + [gpu_checks.text_of(check) for check in checks if check["ok"] is False]
    lines += ["## Do not trust", "", *(f"- {text}" for text in wrong), ""] if wrong else []
    (folder / "report-gpu.md").write_text("\n".join(lines))
    if any("nnc" in programs(entry) and best_peer(programs(entry), True) for entry in cases):
        (folder / "chart-gpu.svg").write_text(chart({"cases": cases}, data["device"] or "a rehearsal"))
    if aloud:
        print("\n".join(lines))
    return 1 if wrong else 0

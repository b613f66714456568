"""Tables (report-CORES.md) and a chart (chart-CORES.svg) from results-CORES.json of bench.py; gpu_report.py has those of
gpu.py.

Needs: nothing. Usage: report.py FOLDER CORES. The exit status is 1 if losses disagree or a program failed.
"""
import json
import math
import pathlib
import sys

from rows import BATCHES

# By how much losses may differ after 100 steps, relative: rounding of float32, and of operands with 11 and 8 bits.
TOLERANCE = {"float32": 1e-4, "tf32": 5e-3, "mixed_bfloat16": 2e-2}
COLOURS = {"default": "#9aa5b1", "tuned": "#2f6f9f"}


def programs(entry):
    """{name: result over the rounds}. `value` is what counts: the best time, on a GPU the median of the rounds' medians. On a
    GPU the first step is the first round's: later ones find what the first has compiled."""
    found = {}
    for result in entry["results"]:
        found.setdefault(result["program"], []).append(result)
    all_rounds = {}
    for name, results in found.items():
        best = min(results, key=lambda r: r["best"])
        one = dict(results[0] if entry.get("gpu") else best)
        one["best"] = best["best"]
        one["median"] = sorted(r["median"] for r in results)[len(results) // 2]
        one["value"] = one["median"] if entry.get("gpu") else one["best"]
        one["memory"] = max(r["memory"] for r in results)
        all_rounds[name] = one
    return all_rounds


def number(value, digits=3):
    """Digits that say something: 17.6, 3710, 0.042."""
    if value is None:
        return "-"
    whole = len(str(int(abs(value)))) if abs(value) >= 1 else 0
    return f"{value:,.{max(0, digits - whole)}f}"


def best_peer(found, tuned):
    peers = [r for r in found.values() if r.get("tuned") is tuned]
    return min(peers, key=lambda r: r["value"]) if peers else None


def reference_loss(found):
    """The loss that others are compared with: nnc's, or the first peer's."""
    losses = [r["loss"] for r in (found.get("nnc"), *found.values()) if r and r.get("loss") is not None]
    return losses[0] if losses else None


def difference(result, reference):
    loss = result.get("loss")
    return None if loss is None or reference is None else abs(loss - reference) / max(abs(reference), 1e-30)


def share_of_peak(entry, result):
    return entry["flops"] / result["value"] / entry["peak"] / 10


def first_step(entry, result):
    """Seconds to the end of the first epoch, less its other steps; of a forward pass there is one."""
    if "first" not in result:
        return None
    others = BATCHES - 1 if entry["kind"] == "train" else 0
    return max(result["first"] - others * result["value"] * 1e-6, 0)


def row_of(cells):
    return "| " + " | ".join(cells) + " |"


def case_table(entry):
    found = programs(entry)
    ours, reference = found.get("nnc"), reference_loss(found)
    unit = "µs, start to exit" if entry["kind"] == "whole" else "µs a step"
    columns = ["program", "", f"best {unit}", "median", "times nnc", "% of peak", "peak memory, MB",
               "start to first step, s", "loss", "differs by"]
    work = f"{entry['flops'] / 1e6:,.3f} MFLOP a step, FMA peak {entry['peak']:.1f} GFLOPS."
    lines = [f"### {entry['title']}", "", work, "", row_of(columns), "|---" * len(columns) + "|"]
    for name, r in sorted(found.items(), key=lambda item: item[1]["value"]):
        apart = difference(r, reference)
        lines.append(row_of([
            name, {True: "tuned", False: "default", None: ""}[r.get("tuned")], number(r["best"]), number(r["median"]),
            f"{r['value'] / ours['value']:.2f}" if ours else "-",
            "-" if entry["kind"] == "whole" else f"{share_of_peak(entry, r):.1f}", f"{r['memory'] / 1e6:.1f}",
            number(first_step(entry, r)), "-" if r.get("loss") is None else f"{r['loss']:.7g}",
            "-" if apart is None else f"{apart:.1e}"]))
    if "lines" in entry:
        lines += ["", f"nnc took {entry['nnc_seconds'] * 1e3:.0f} ms to write {entry['lines']:,} lines, the C compiler "
                      f"{entry['cc_seconds']:.1f} s; the program has {entry['binary'] / 1e6:.2f} MB."]
    return lines + [""]


def peer_cell(peer, ours):
    if not peer:
        return "-"
    ratio = f"{peer['value'] / ours['value']:.1f} x, " if ours else ""
    return f"{ratio}{peer['program']} {number(peer['value'])}"


def summary(data):
    columns = ["row", "nnc, µs", "% of peak", "best default peer", "best tuned peer", "nnc, MB", "PyTorch, MB",
               "nnc, s to first step", "best peer", "binary, MB"]
    lines = [row_of(columns), "|---" * len(columns) + "|"]
    for entry in data["cases"]:
        found = programs(entry)
        ours, torch = found.get("nnc"), found.get("torch_eager")
        peers = [first_step(entry, r) for r in found.values() if r.get("tuned") is not None and "first" in r]
        lines.append(row_of([
            entry["title"], number(ours["value"]) if ours else "-",
            f"{share_of_peak(entry, ours):.0f}" if ours and entry["kind"] != "whole" else "-",
            peer_cell(best_peer(found, False), ours), peer_cell(best_peer(found, True), ours),
            f"{ours['memory'] / 1e6:.1f}" if ours else "-", f"{torch['memory'] / 1e6:.0f}" if torch else "-",
            number(first_step(entry, ours)) if ours else "-", number(min(peers)) if peers else "-",
            f"{entry['binary'] / 1e6:.2f}" if "binary" in entry else "-"]))
    return lines


def per_sample(data):
    """Batches of one less beside the row itself."""
    lines, whole = [], {(e["row"], e["batch"]): e for e in data["cases"] if e["kind"] == "train"}
    for (row, batch), entry in whole.items():
        full = whole.get((row, batch + 1))
        pair = [programs(e).get("nnc") for e in (entry, full) if e]
        if len(pair) == 2 and all(pair):
            each = [pair[0]["best"] / batch, pair[1]["best"] / (batch + 1)]
            lines.append(f"- {row}: one of {batch} samples takes {each[0] / each[1]:.3f} times what one of {batch + 1} takes")
    return ["## One sample less", "", *lines, ""] if lines else []


def problems(data):
    found = []
    for entry in data["cases"]:
        results = programs(entry)
        reference = reference_loss(results)
        if not entry["complete"]:
            found.append(f"{entry['title']}: a program failed")
        for name, result in results.items():
            apart = difference(result, reference)
            if apart is not None and not apart <= TOLERANCE[entry.get("precision", "float32")]:
                found.append(f"{entry['title']}: the loss of {name} differs by {apart:.1e}: not the same training")
    return found


def groups_of(data):
    """[(title, [(kind, program, how many times slower than nnc)])] for the chart."""
    groups = []
    for entry in data["cases"]:
        found = programs(entry)
        peers = [(kind, best_peer(found, kind == "tuned")) for kind in COLOURS] if "nnc" in found else []
        bars = [(kind, peer["program"], peer["value"] / found["nnc"]["value"]) for kind, peer in peers if peer]
        groups += [(entry["title"], bars)] if bars else []
    return groups


def chart(data, where):
    """One group of bars a row, on a logarithmic axis from a half to 512."""
    groups, left, width, step, top = groups_of(data), 190, 420, 15, 46
    height = top + sum(step * len(bars) + 10 for _, bars in groups) + 10

    def across(ratio):
        return left + width * (math.log2(min(max(ratio, 0.5), 512)) + 1) / 10

    svg = ['<svg xmlns="http://www.w3.org/2000/svg" font-family="sans-serif" font-size="11" '
           f'width="{left + width + 150}" height="{height}">', '<rect width="100%" height="100%" fill="white"/>',
           f'<text x="10" y="18" font-size="13">How many times faster nnc is, {where}</text>']
    for i, (kind, colour) in enumerate(COLOURS.items()):
        x = left + 200 + 130 * i
        svg += [f'<rect x="{x}" y="9" width="10" height="10" fill="{colour}"/>',
                f'<text x="{x + 15}" y="18">best {kind} peer</text>']
    for power in range(-1, 10):
        x, colour = across(2.0**power), "#333" if power == 0 else "#ddd"
        svg += [f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{top - 6}" y2="{height - 8}" stroke="{colour}"/>',
                f'<text x="{x:.1f}" y="{top - 10}" text-anchor="middle">{2.0**power:g}</text>']
    y = top
    for title, bars in groups:
        svg.append(f'<text x="{left - 8}" y="{y + step * len(bars) / 2 + 2:.1f}" text-anchor="end">{title}</text>')
        for kind, name, ratio in bars:
            start, end = sorted((across(1), across(ratio)))
            svg += [f'<rect x="{start:.1f}" y="{y}" width="{max(end - start, 1):.1f}" height="{step - 3}" '
                    f'fill="{COLOURS[kind]}"/>',
                    f'<text x="{end + 5:.1f}" y="{y + step - 5}">{ratio:.1f} {name}</text>']
            y += step
        y += 10
    return "\n".join([*svg, "</svg>", ""])


def write(folder, cores):
    data = json.loads((folder / f"results-{cores}.json").read_text())
    lines = [f"Cores: {cores}, rounds: {data['rounds']}, {data['compiler']}."]
    if data["shared"]:
        lines += ["", "The two processors are threads of one core: count work and barriers instead of time."]
    lines += ["", *summary(data), "", *per_sample(data)]
    for entry in data["cases"]:
        lines += case_table(entry)
    wrong = problems(data)
    lines += ["## Do not trust", "", *(f"- {line}" for line in wrong), ""] if wrong else []
    (folder / f"report-{cores}.md").write_text("\n".join(lines))
    (folder / f"chart-{cores}.svg").write_text(chart(data, f"{cores} core{'s' if cores > 1 else ''}"))
    print("\n".join(lines))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(write(pathlib.Path(sys.argv[1]), int(sys.argv[2])))

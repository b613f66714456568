"""The table of a bench run, from lines "name best median loss" (several rounds) and "peak GFLOPS".

Needs: nothing. Usage: report.py FILE. A ratio above 1 says how many times faster nnc is.
"""
import sys

WIDTHS, SAMPLES, BATCH = (100, 64, 64, 10), 1000, 32


def step_flops():
    """Two per multiply-add of every contraction; no gradient for the inputs of layer 1. A mean step: the last batch is short."""
    pairs = [a * b for a, b in zip(WIDTHS, WIDTHS[1:])]
    return 2 * SAMPLES * (2 * sum(pairs) + sum(pairs[1:])) / -(-SAMPLES // BATCH)


def main():
    peak, rows = 0.0, {}
    for name, *values in (line.split() for line in open(sys.argv[1])):
        if name == "peak":
            peak = max(peak, float(values[0]))
        else:
            best, median, loss = map(float, values)
            old = rows.get(name, (best, [], loss))
            rows[name] = (min(best, old[0]), old[1] + [median], loss)
    ours = rows.get("nnc")
    print(f"FMA peak {peak:.1f} GFLOPS, {step_flops() / 1e6:.3f} MFLOP a step")
    print(f"{'program':<20}{'best us/step':>14}{'median':>10}{'% of peak':>11}{'times slower':>14}{'loss':>12}")
    for name, (best, medians, loss) in sorted(rows.items(), key=lambda row: row[1][0]):
        medians.sort()
        ratio = f"{best / ours[0]:14.2f}" if ours else f"{'-':>14}"
        print(f"{name:<20}{best:14.2f}{medians[len(medians) // 2]:10.2f}{step_flops() / best / peak / 10:10.1f}%{ratio}{loss:12.6f}")
    losses = [loss for _, _, loss in rows.values()]
    spread = max(losses) - min(losses)
    print(f"losses differ by {spread:.1e}" + ("" if spread <= 1e-3 * max(losses) else ": NOT the same training, do not read the times"))
    return spread > 1e-3 * max(losses)


sys.exit(main())

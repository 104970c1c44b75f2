"""Draws inputs and works out what the statistics of a rollout must be: cases.json, which the tests of
crates/control-rollout read. Run by `cargo xtask oracle`.

    python oracle.py write FILE     writes the cases
    python oracle.py check FILE     fails where the file says something else
"""

import json
import math
import sys
from pathlib import Path

import numpy as np

import reference as ref

SEED = 20261123
# Between machines the last digits of logs and gammas may differ.
TOLERANCE = 1e-11
SHARES = [0.01, 0.05, 0.1, 0.25, 0.5, 0.9]
LIMITS = [0.000001, 0.0005, 0.001, 0.01, 0.03, 0.05, 0.2, 0.5]


def pick(rng, values):
    """One of a list, as a plain number."""
    return values[int(rng.integers(len(values)))]


def size(rng, most):
    """A count from 0 to `most`, small ones as likely as large ones."""
    return int(most ** rng.random()) - int(rng.random() < 0.2)


def limits(rng):
    """T1, T10 and T12 from counts alone."""
    cases = {"alternatives": [[p, ref.alternatives(p).tolist()] for p in LIMITS]}
    counts = [(0, 0), (1, 0), (0, 300), (3, 2997)] + [(max(size(rng, 60), 0), max(size(rng, 1e6), 0)) for _ in range(56)]
    cases["limit"], cases["proof"], cases["interval"] = [], [], []
    for faults, successes in counts:
        limit, alpha = pick(rng, LIMITS), pick(rng, [0.001, 0.01, 0.05, 0.5])
        cases["limit"].append([faults, successes, limit, ref.limit_log_e(faults, successes, limit)])
        cases["proof"].append([faults, successes, limit, ref.proof_log_e(faults, successes, limit)])
        cases["interval"].append([faults, successes, alpha, *ref.interval(faults, successes, alpha)])
    cases["clean"] = [[p, a, ref.clean_needed(p, a)] for p in (0.05, 0.01, 0.005, 0.001) for a in (0.05, 0.01)]
    return cases


def tallies(rng, most):
    """Faults of both arms under a few shares."""
    shares = rng.choice(SHARES, size=int(rng.integers(1, 4)), replace=False).tolist()
    return [[share, max(size(rng, most), 0), max(size(rng, most), 0)] for share in shares]


def relatives(rng):
    """T2 from tallies."""
    cases = []
    for _ in range(50):
        counts, ratio = tallies(rng, 300), pick(rng, [1.0, 1.1, 2.0, 3.5, 1000.0])
        of_grids = [ref.relative_log_e(counts, ratio, grid) for grid in (ref.RELATIVE, ref.LATENCY, ref.MISTAKES)]
        cases.append([counts, ratio, *of_grids])
    return {"relative": cases}


def drifts(rng):
    """T8, each share on its own and several multiplied; every third case a second time by single bets."""
    cases = []
    for n in range(40):
        n_bins, kappa = int(rng.integers(1, 11)), pick(rng, [10.0, 100.0])
        segments = []
        for share in rng.choice(SHARES, size=int(rng.integers(1, 4)), replace=False).tolist():
            draw = rng.dirichlet(np.ones(n_bins))
            candidate = rng.multinomial(max(size(rng, 400), 0), draw).tolist()
            segments.append([share, candidate, rng.multinomial(max(size(rng, 2000), 0), draw).tolist()])
        log_e = sum(ref.bins_log_e(c, b, share, kappa) for share, c, b in segments)
        if n % 3 == 0:
            by_steps = sum(ref.bins_by_steps(c, b, share, kappa, rng) for share, c, b in segments)
            assert math.isclose(log_e, by_steps, rel_tol=1e-9, abs_tol=1e-9), (log_e, by_steps)
        cases.append({"kappa": kappa, "segments": segments, "log_e": log_e})
    return {"drift": cases}


def losses(rng):
    """T9: bets on differences, and the blocks that make them."""
    bets = []
    for _ in range(20):
        tolerated = pick(rng, [0.0, 0.01, 0.05, 0.4])
        differences = np.round(rng.uniform(-1, 1, int(rng.integers(1, 40))), 4).tolist()
        bets.append([tolerated, differences, ref.bet_log_e(differences, tolerated)])
    blocks = []
    for _ in range(20):
        share, tolerated = pick(rng, [0.05, 0.1, 0.25, 0.5, 0.9]), pick(rng, [0.0, 0.02])
        block = max(1, round((1 - share) / share))
        arms = rng.random(int(rng.integers(20, 120))) < share
        fed = [[int(arm), round(float(rng.random()), 4)] for arm in arms]
        differences = ref.block_differences([(arm == 1, loss) for arm, loss in fed], block)
        case = {"share": share, "block": block, "tolerated": tolerated, "losses": fed}
        case |= {"n_differences": len(differences), "log_e": ref.bet_log_e(differences, tolerated)}
        case["restart"] = ref.bet_restart(differences, tolerated)
        blocks.append(case)
    return {"bets": bets, "blocks": blocks}


def guardrail(rng):
    """What a trial is judged by."""
    of_limit = pick(rng, [0.5, 0.25, 0.1])
    return {
        "alpha": pick(rng, [0.001, 0.01, 0.05]),
        "limit": pick(rng, [0.001, 0.01, 0.05]),
        "tolerate_ratio": pick(rng, [1.0, 2.0]),
        "planned_requests": pick(rng, [100, 2000, 1000000]),
        "planned_events": pick(rng, [5, 20, 100000]),
        "weights": [of_limit, 1 - of_limit],
    }


class Judge:
    """T1 to T5 on a sequence of faults."""

    def __init__(self, rules):
        self.rules = rules
        self.candidate, self.stable = ref.LimitSequence(rules["limit"]), ref.LimitSequence(rules["limit"])
        self.relative = ref.RelativeSequence(rules["tolerate_ratio"])

    def fault(self, is_candidate, share, of_candidate, of_stable):
        """Successes of both arms, then one fault."""
        self.candidate.requests(of_candidate, int(is_candidate))
        self.stable.requests(of_stable, int(not is_candidate))
        self.relative.fault(is_candidate, share)

    def read(self, sequence, weight, planned):
        """Statistic and own threshold of one rule."""
        end, budget = ref.stage(sequence.n_steps, planned)
        log_e = ref.log_g(sequence.plain(), sequence.restart(), end)
        return log_e, -math.log(self.rules["alpha"] * weight * budget)

    def findings(self):
        """Of limit, relative and stable limit; the sum; who is to blame."""
        of_limit, of_relative = self.rules["weights"]
        requests, events = self.rules["planned_requests"], self.rules["planned_events"]
        limit, limit_from = self.read(self.candidate, of_limit, requests)
        relative, relative_from = self.read(self.relative, of_relative, events)
        stable, stable_from = self.read(self.stable, 1.0, requests)
        excess = float(np.logaddexp(limit - limit_from, relative - relative_from))
        return {
            "limit": [limit, limit_from],
            "relative": [relative, relative_from],
            "stable": [stable, stable_from],
            "log_e": excess - math.log(self.rules["alpha"]),
            "is_tripped": excess >= 0,
            "is_stable_tripped": stable >= stable_from,
        }


def trials(rng):
    """T3 and T4: faults in a row, with what every rule says at the end and their sum after each."""
    cases = []
    for _ in range(24):
        rules = guardrail(rng)
        judge, fed, sums = Judge(rules), [], []
        rate = rules["limit"] * pick(rng, [0.5, 1, 5])
        for _ in range(int(rng.integers(4, 24))):
            share = pick(rng, [0.05, 0.1, 0.5])
            gap = min(int(rng.geometric(rate)), 3000)
            of_candidate = int(rng.binomial(gap, share))
            event = [int(rng.random() < 0.6), share, of_candidate, gap - of_candidate]
            judge.fault(event[0] == 1, *event[1:])
            fed.append(event)
            sums.append(judge.findings()["log_e"])
        cases.append({"guardrail": rules, "events": fed, "sums": sums, "findings": judge.findings()})
    return {"trials": cases}


def counted(rng):
    """T3 on batches, T1: what the latency limit and disagreement are judged by."""
    cases = []
    for _ in range(16):
        limit, looks = pick(rng, [0.01, 0.05]), []
        test = ref.LimitSequence(limit)
        for _ in range(int(rng.integers(1, 16))):
            looks.append([max(size(rng, 8), 0), 1 + size(rng, 500)])
            test.batch(*looks[-1])
        cases.append({"limit": limit, "looks": looks, "plain": test.plain(), "restart": test.restart()})
    return {"counted": cases}


def compared(rng):
    """T3 on batches, T2: latency at three quantiles, whose evidence is averaged, and mistakes."""
    cases = []
    for n in range(24):
        rule, grid, n_bounds = [("latency_vs_stable", ref.LATENCY, 3), ("mistakes", ref.MISTAKES, 1)][n % 2]
        ratio, looks = pick(rng, [1.0, 1.1, 2.0]), []
        tests = [ref.RelativeSequence(ratio, grid) for _ in range(n_bounds)]
        for _ in range(int(rng.integers(1, 16))):
            share = pick(rng, [0.05, 0.1, 0.5])
            counts = [[max(size(rng, 20), 0), 1 + max(size(rng, 40), 0)] for _ in tests]
            looks.append([share, counts])
            for test, (candidate, stable) in zip(tests, counts, strict=True):
                test.batch(share, candidate, stable)
        plain = ref.log_mean([test.plain() for test in tests])
        restart = ref.log_mean([test.restart() for test in tests])
        cases.append({"rule": rule, "ratio": ratio, "looks": looks, "plain": plain, "restart": restart})
    return {"compared": cases}


def steady(rng):
    """T11: the mean restart value after each fault, with the successes before it."""
    cases = []
    for _ in range(8):
        limit = pick(rng, [0.001, 0.01])
        watch = ref.LimitSequence(limit)
        gaps = [min(int(rng.geometric(pick(rng, [0.002, 0.3]))), 2000) - 1 for _ in range(int(rng.integers(3, 20)))]
        values = []
        for gap in gaps:
            watch.requests(gap, 1)
            values.append(watch.restart())
        cases.append({"limit": limit, "gaps": gaps, "log_restart": values})
    return {"steady": cases}


def cases():
    """All of them; each part has a generator of its own."""
    result = {"seed": SEED}
    for n, part in enumerate([limits, relatives, drifts, losses, trials, counted, compared, steady]):
        result |= part(np.random.default_rng([SEED, n]))
    return result


def differences(path, one, other):
    """Where two sets of cases are not the same."""
    if isinstance(one, dict) and isinstance(other, dict):
        for key in one.keys() | other.keys():
            yield from differences(f"{path}.{key}", one.get(key), other.get(key))
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for n, pair in enumerate(zip(one, other, strict=True)):
            yield from differences(f"{path}[{n}]", *pair)
    elif isinstance(one, float) and isinstance(other, (int, float)):
        if not math.isclose(one, other, rel_tol=TOLERANCE, abs_tol=TOLERANCE):
            yield f"{path}: {one} against {other}"
    elif one != other:
        yield f"{path}: {one} against {other}"


def write(path, found):
    """One line for each case, so that a change can be read."""
    parts = []
    for key, value in found.items():
        rows = value if isinstance(value, list) else None
        body = "[\n" + ",\n".join("  " + json.dumps(row) for row in rows) + "\n]" if rows else json.dumps(value)
        parts.append(f"{json.dumps(key)}: {body}")
    path.write_text("{\n" + ",\n".join(parts) + "\n}\n", encoding="utf-8")


def main():
    """Writes or compares."""
    what, path = sys.argv[1], Path(sys.argv[2])
    found = cases()
    if what == "write":
        write(path, found)
        return
    stored = json.loads(path.read_text(encoding="utf-8"))
    wrong = list(differences("cases", json.loads(json.dumps(found)), stored))
    for line in wrong[:20]:
        print(line)
    if wrong:
        sys.exit(f"{len(wrong)} values are not what the oracle says")


if __name__ == "__main__":
    main()

"""The statistics of a rollout, T1 to T12, written down a second time and on purpose in another way.

The product works with counters and closed forms; here every request is a step of a loop or a term of a sum, with
numpy's and scipy's functions. Nothing is taken from the product's code. Logs are natural.
"""

import math

import numpy as np
from scipy.optimize import brentq
from scipy.special import betaln, logsumexp, xlog1py, xlogy

RELATIVE = np.array([2.0, 4.0, 8.0, 16.0, 64.0, 256.0])
LATENCY = np.array([1.2, 1.5, 2.0, 4.0, 16.0])
MISTAKES = np.array([1.1, 1.2, 1.4, 1.7, 2.0, 3.0, 5.0])
BETS = np.array([0.05, 0.1, 0.2, 0.4, 0.7])
PROOF_PARTS = np.array([0.0, 1 / 16, 1 / 8, 1 / 4, 1 / 2])
PLAIN_WEIGHT = 0.9


def log_mean(terms):
    """ln of the mean of e^x."""
    terms = np.asarray(terms, dtype=float)
    return float(logsumexp(terms) - math.log(len(terms)))


def alternatives(limit):
    """What the limit test looks for: doublings of the limit below one half, then 0.5 and 0.9."""
    doubled = [limit * 2**k for k in range(1, 25) if limit * 2**k < 0.5 - 1e-12]
    return np.array(doubled + [g for g in (0.5, 0.9) if g > limit * 1.000001])


def log_likelihood(faults, successes, p):
    """Of counts, up to the binomial coefficient; 0 * ln 0 is 0."""
    return xlogy(faults, p) + xlog1py(successes, -np.asarray(p))


# T1 and T10 ------------------------------------------------------------------------------------------------


def limit_log_e(faults, successes, limit):
    """T1: mixture over the alternatives against "at most limit"."""
    ratios = log_likelihood(faults, successes, alternatives(limit)) - log_likelihood(faults, successes, limit)
    return log_mean(ratios)


def proof_log_e(faults, successes, limit):
    """T10: mixture over smaller probabilities against "at least limit"."""
    ratios = log_likelihood(faults, successes, PROOF_PARTS * limit) - log_likelihood(faults, successes, limit)
    return log_mean(ratios)


def clean_needed(limit, alpha):
    """Clean requests that a single alternative 0 needs, found by counting."""
    n, log_e = 0, 0.0
    while log_e < math.log(1 / alpha):
        n += 1
        log_e = -n * math.log1p(-limit)
    return n


# T2 --------------------------------------------------------------------------------------------------------


def candidate_odds(share, ratio):
    """Probability that a fault is the candidate's when it faults `ratio` times as often as stable."""
    return share * ratio / (share * ratio + (1 - share))


def relative_factors(is_candidate, share, ratio, grid=RELATIVE):
    """Log likelihood ratios of one fault, one for each alternative."""
    null, others = candidate_odds(share, ratio), candidate_odds(share, ratio * grid)
    return np.log(others / null) if is_candidate else np.log((1 - others) / (1 - null))


def relative_log_e(tallies, ratio, grid=RELATIVE):
    """T2 from tallies of (share, candidate's faults, stable's faults)."""
    total = np.zeros(len(grid))
    for share, candidate, stable in tallies:
        total += candidate * relative_factors(True, share, ratio, grid)
        total += stable * relative_factors(False, share, ratio, grid)
    return log_mean(total)


# T3 --------------------------------------------------------------------------------------------------------


class Sequence:
    """A test fed step by step: the product of its factors and the Shiryaev-Roberts value, each per alternative."""

    def __init__(self, n_alternatives):
        self.log_product = np.zeros(n_alternatives)
        self.log_restart = np.full(n_alternatives, -np.inf)
        self.n_steps = 0

    def step(self, log_factors):
        """One request, fault or batch."""
        self.log_product = self.log_product + log_factors
        self.log_restart = np.logaddexp(self.log_restart, 0.0) + log_factors
        self.n_steps += 1

    def plain(self):
        """ln E."""
        return log_mean(self.log_product)

    def restart(self):
        """ln of the mean restart value; None before the first step."""
        return log_mean(self.log_restart) if self.n_steps else None


def stage(n_steps, planned):
    """T3's horizon: (end of the stage, part of the budget it may spend)."""
    end, budget = float(planned), 0.5
    while n_steps > end:
        end, budget = 2 * end, budget / 2
    return end, budget


def log_g(plain, restart, end):
    """ln of 0.9 E + 0.1 M / N."""
    if restart is None:
        return math.log(PLAIN_WEIGHT) + plain
    return float(np.logaddexp(math.log(PLAIN_WEIGHT) + plain, math.log(1 - PLAIN_WEIGHT) + restart - math.log(end)))


class LimitSequence(Sequence):
    """T1 with its restart, request by request."""

    def __init__(self, limit):
        grid = alternatives(limit)
        super().__init__(len(grid))
        self.of_fault = np.log(grid / limit)
        self.of_success = np.log1p(-grid) - math.log1p(-limit)

    def requests(self, successes, faults):
        """Successes one by one, then faults one by one."""
        for _ in range(successes):
            self.step(self.of_success)
        for _ in range(faults):
            self.step(self.of_fault)

    def batch(self, faults, successes):
        """A batch is one step of the restart, with the likelihood ratio of the whole."""
        self.step(faults * self.of_fault + successes * self.of_success)


class RelativeSequence(Sequence):
    """T2 with its restart, fault by fault."""

    def __init__(self, ratio, grid=RELATIVE):
        super().__init__(len(grid))
        self.ratio, self.grid = ratio, grid

    def fault(self, is_candidate, share):
        """One fault."""
        self.step(relative_factors(is_candidate, share, self.ratio, self.grid))

    def batch(self, share, candidate, stable):
        """A batch is one step of the restart."""
        of_candidate = relative_factors(True, share, self.ratio, self.grid)
        of_stable = relative_factors(False, share, self.ratio, self.grid)
        self.step(candidate * of_candidate + stable * of_stable)


# T8 --------------------------------------------------------------------------------------------------------


def bins_log_e(candidate, stable, share, kappa):
    """T8: each bin's counts under a Beta around the share against the share itself."""
    total = 0.0
    for c, b in zip(candidate, stable, strict=True):
        prior = betaln(kappa * share, kappa * (1 - share))
        total += betaln(kappa * share + c, kappa * (1 - share) + b) - prior - xlogy(c, share) - xlog1py(b, -share)
    return float(total)


def bins_by_steps(candidate, stable, share, kappa, rng):
    """The same by betting on one answer after the other, in any order: the predictive odds of the arm, multiplied."""
    answers = [(j, True) for j, n in enumerate(candidate) for _ in range(n)]
    answers += [(j, False) for j, n in enumerate(stable) for _ in range(n)]
    rng.shuffle(answers)
    a = np.full(len(candidate), kappa * share)
    b = np.full(len(candidate), kappa * (1 - share))
    total = 0.0
    for j, is_candidate in answers:
        odds = a[j] / (a[j] + b[j])
        total += math.log(odds / share) if is_candidate else math.log((1 - odds) / (1 - share))
        (a if is_candidate else b)[j] += 1
    return total


# T9 --------------------------------------------------------------------------------------------------------


def bet_log_e(differences, tolerated, bets=BETS):
    """T9: the bet on bounded differences of losses."""
    wealth = np.zeros(len(bets))
    for d in differences:
        wealth += np.log1p(bets * (d - tolerated))
    return log_mean(wealth)


def bet_restart(differences, tolerated, bets=BETS):
    """ln of the mean restart value of the bet; None before the first difference."""
    wealth = Sequence(len(bets))
    for d in differences:
        wealth.step(np.log1p(bets * (d - tolerated)))
    return wealth.restart()


def block_differences(losses, block):
    """The candidate's losses against means of `block` unused losses of stable; losses are (is candidate, loss)."""
    candidates, stables, differences = [], [], []
    for is_candidate, loss in losses:
        (candidates if is_candidate else stables).append(loss)
        while candidates and len(stables) >= block:
            mean, stables = sum(stables[:block]) / block, stables[block:]
            differences.append(candidates.pop(0) - mean)
    return differences


# T12 -------------------------------------------------------------------------------------------------------


def interval(faults, successes, alpha):
    """T12: probabilities that the mixture over Beta(1/2, 1/2) does not rule out."""

    def excess(p):
        mixture = betaln(0.5 + faults, 0.5 + successes) - betaln(0.5, 0.5)
        return float(mixture - log_likelihood(faults, successes, p) + math.log(alpha))

    middle = faults / (faults + successes) if faults + successes else 0.5
    tight = {"xtol": 1e-300, "rtol": 8.9e-16, "maxiter": 1000}
    low = brentq(excess, 1e-300, middle, **tight) if faults else 0.0
    high = brentq(excess, middle if faults else 1e-300, 1 - 1e-16, **tight) if successes else 1.0
    return low, high

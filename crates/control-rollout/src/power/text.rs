//! What a rollout can be expected to find, as people read it.

use std::fmt;
use std::mem::discriminant;

use crate::plan::ProofOf;
use crate::power::{Harm, HarmPower, Power, ProofPower, StepPower};
use crate::words::{percent, plain, span, two_digits};

impl fmt::Display for Power {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "At today's {} requests a second:", two_digits(self.requests_per_second))?;
        for step in &self.steps {
            writeln!(f, "{step}")?;
        }
        match self.total_seconds {
            Some(seconds) => write!(f, "If all goes well the rollout takes {}", span(seconds))?,
            None => write!(f, "The rollout cannot end by itself: a proof is out of reach")?,
        }
        if self.not_counted.is_empty() {
            writeln!(f, ".")?;
        } else {
            writeln!(f, "; not counted: {}.", self.not_counted.join(", "))?;
        }
        let part = |(rule, part): &(_, f64)| format!("{} {}", name(*rule), percent(*part * self.alpha));
        let parts: Vec<_> = self.parts.iter().map(part).collect();
        writeln!(
            f,
            "A healthy candidate is convicted with a chance of at most {} ({}).",
            percent(self.alpha),
            parts.join(", ")
        )?;
        for (rule, alpha) in &self.apart {
            writeln!(f, "The rule {} raises a false alarm with a chance of at most {}.", name(*rule), percent(*alpha))?;
        }
        Ok(())
    }
}

fn name(rule: crate::rule::Rule) -> &'static str {
    rule.as_str()
}

impl fmt::Display for StepPower {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = if self.is_shadow { "copies of" } else { "a share of" };
        write!(f, "Step {}, {what} {}: ", self.index + 1, percent(self.share))?;
        if self.harms.is_empty() {
            write!(f, "no rule judges it")?;
        }
        for (at, harm) in self.harms.iter().enumerate() {
            let before = at.checked_sub(1).and_then(|at| self.harms.get(at));
            let is_first = before.is_none_or(|before| discriminant(&before.harm) != discriminant(&harm.harm));
            write!(
                f,
                "{}",
                if at == 0 {
                    ""
                } else if is_first {
                    "; "
                } else {
                    ", "
                }
            )?;
            write_harm(f, harm, is_first)?;
        }
        write!(f, ".")?;
        for proof in &self.proofs {
            write!(f, " {proof}.")?;
        }
        match self.seconds {
            Some(seconds) => write!(f, " It takes {}.", span(seconds)),
            None => write!(f, " It does not end by itself."),
        }
    }
}

/// One harm; of several of a kind the first in full, the others short.
fn write_harm(f: &mut fmt::Formatter<'_>, power: &HarmPower, is_first: bool) -> fmt::Result {
    let harm = if is_first { power.harm.to_string() } else { power.harm.size() };
    let (is, requests_word) = if is_first { ("is ", " requests") } else { ("", "") };
    let Some((requests, seconds)) = power.mean.zip(power.seconds) else {
        return write!(f, "{harm} {is}not found");
    };
    let (requests, seconds) = (two_digits(requests), span(seconds));
    let found = if is_first { "found after about" } else { "after" };
    write!(f, "{harm} {is}{found} {requests}{requests_word} ({seconds})")?;
    if power.found < 0.995 {
        write!(f, " in {} of runs", percent((power.found * 100.0).round() / 100.0))?;
    }
    Ok(())
}

impl Harm {
    fn size(self) -> String {
        match self {
            Self::Errors(rate) | Self::Disagreement(rate) => percent(rate),
            Self::Latency(factor) => format!("{} times", plain(factor)),
        }
    }
}

impl fmt::Display for Harm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Errors(rate) => write!(f, "an error rate of {}", percent(*rate)),
            Self::Latency(factor) => write!(f, "a latency of {} times stable's", plain(*factor)),
            Self::Disagreement(rate) => write!(f, "a disagreement of {}", percent(*rate)),
        }
    }
}

impl fmt::Display for ProofPower {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.of {
            ProofOf::Errors => "errors",
            ProofOf::Latency => "latency",
            ProofOf::Disagreement => "disagreement",
        };
        write!(f, "The proof on {what} needs {} good requests", two_digits(self.clean_requests as f64))?;
        match (self.expected_requests, self.seconds) {
            (Some(n), Some(seconds)) if n > self.clean_requests => {
                write!(f, ", about {} if the candidate is as stable is ({})", two_digits(n as f64), span(seconds))
            }
            (Some(_), Some(seconds)) => write!(f, " ({})", span(seconds)),
            _ => write!(f, ", and would not come even for stable"),
        }
    }
}

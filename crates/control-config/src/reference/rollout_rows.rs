//! The keys of routing.toml that are about rollouts and experiments.

use super::{Row, row};

const LATENCY: &str = "models.<name>.guardrail.latency";
const LATENCY_VS_STABLE: &str = "models.<name>.guardrail.latency_vs_stable";
const DISAGREEMENT: &str = "models.<name>.guardrail.disagreement";
const COMPARE: &str = "models.<name>.guardrail.disagreement.compare";
const DRIFT: &str = "models.<name>.guardrail.drift";
const SAMPLE_RATIO: &str = "models.<name>.guardrail.sample_ratio";
const MISTAKES: &str = "models.<name>.guardrail.mistakes";
const LOSS: &str = "models.<name>.guardrail.loss";
const STEADY_STATE: &str = "models.<name>.guardrail.steady_state";
const POLICY: &str = "policies.<name>";
const STEPS: &str = "policies.<name>.steps";
const FREEZE_AFTER: &str = "policies.<name>.freeze_after";
const EXPERIMENT: &str = "experiments.<name>";
const ALLOCATION: &str = "experiments.<name>.allocation";
const THOMPSON: &str = "experiments.<name>.allocation.thompson";

const ON_FAILURE: &str = "`\"rollback\"`, `\"pause\"`, `\"alert\"` or `\"observe\"`";
const ROLLBACK: &str = "\"rollback\"";
const PAUSE: &str = "\"pause\"";
const FOLLOWS: &str = "What follows when the rule convicts.";
const WEIGHT: &str = "above 0, up to 1000";
const WEIGHS: &str = "Its part of `alpha`, in relation to the other weights.";

pub(super) const ROWS: &[Row] = &[
    row(LATENCY, "slower_than_ms", "above 0", "", "An answer that takes longer, in queue and run, is slow. Needed."),
    row(LATENCY, "limit", "0.000001 to 0.5", "0.01", "The tolerated share of slow answers: 0.01 bounds the p99."),
    row(LATENCY, "weight", WEIGHT, "0.2", WEIGHS),
    row(LATENCY, "on_failure", ON_FAILURE, ROLLBACK, FOLLOWS),
    row(
        LATENCY_VS_STABLE,
        "quantiles",
        "list of up to 3, each between 0 and 1",
        "[0.5, 0.9, 0.99]",
        "At which of stable's quantiles the versions are compared. An answer is slow that takes 0.2 ms longer than such a quantile: smaller differences are those of warm and cold caches.",
    ),
    row(
        LATENCY_VS_STABLE,
        "freeze_after",
        "100 or more",
        "1000",
        "So many answers of stable give the quantiles, which then stay. They are not judged themselves.",
    ),
    row(
        LATENCY_VS_STABLE,
        "tolerate_ratio",
        "1 to 1000",
        "1.1",
        "How many times as often as stable a version may be slower than that.",
    ),
    row(LATENCY_VS_STABLE, "weight", WEIGHT, "0.2", WEIGHS),
    row(LATENCY_VS_STABLE, "on_failure", ON_FAILURE, PAUSE, FOLLOWS),
    row(
        DISAGREEMENT,
        "limit",
        "0.000001 to 0.5",
        "0.01",
        "The tolerated share of shadowed requests that are answered otherwise than by stable. Tight for a re-export of the same model, wide for one that was trained anew.",
    ),
    row(
        DISAGREEMENT,
        "compare",
        "word or table",
        "\"tolerance\"",
        "What counts as the same answer: `\"argmax\"`, `\"exact\"`, `\"tolerance\"`, `\"ignore\"`, or a table.",
    ),
    row(
        DISAGREEMENT,
        "redact",
        "true or false",
        "false",
        "Whether the examples that are kept of differing answers show shapes alone, and no values.",
    ),
    row(DISAGREEMENT, "weight", WEIGHT, "0.1", WEIGHS),
    row(DISAGREEMENT, "on_failure", ON_FAILURE, PAUSE, FOLLOWS),
    row(
        COMPARE,
        "match",
        "`\"tolerance\"`, `\"argmax\"`, `\"top_k\"`, `\"exact\"` or `\"ignore\"`",
        "\"tolerance\"",
        "How outputs are compared. `argmax`: each row has its largest value at the same position. `top_k`: the largest `k` stand at the same positions.",
    ),
    row(
        COMPARE,
        "absolute",
        "0 or more",
        "",
        "With `tolerance`: the absolute part. 0.00001 where neither part is given, else 0.",
    ),
    row(
        COMPARE,
        "relative",
        "0 or more",
        "",
        "With `tolerance`: the part of stable's value. 0.001 where neither part is given, else 0.",
    ),
    row(COMPARE, "k", "1 to 1000", "", "With `top_k`: how many. Needed there."),
    row(
        COMPARE,
        "overlap",
        "above 0, up to 1",
        "",
        "With `top_k`: which part of the `k` must be the same. Default there: 1.",
    ),
    row(
        COMPARE,
        "outputs",
        "table of output = word or table, up to 256",
        "",
        "Outputs that are compared in a way of their own, by the name callers use, as in `{ label = \"argmax\" }`.",
    ),
    row(DRIFT, "output", "text", "", "The output that is looked at. Default: the first one."),
    row(
        DRIFT,
        "bins",
        "`\"classes\"` or `\"deciles\"`",
        "\"classes\"",
        "By the position of the largest value, or by the deciles of stable's first value.",
    ),
    row(
        DRIFT,
        "alpha",
        "above 0, up to 0.5",
        "0.001",
        "The probability of a false alarm; outside of the guardrail's `alpha`.",
    ),
    row(DRIFT, "on_failure", ON_FAILURE, PAUSE, FOLLOWS),
    row(
        SAMPLE_RATIO,
        "alpha",
        "above 0, up to 0.5",
        "0.001",
        "The probability of a false alarm; outside of the guardrail's `alpha`.",
    ),
    row(
        SAMPLE_RATIO,
        "on_failure",
        ON_FAILURE,
        PAUSE,
        "What follows. A failure blocks promotions whatever this says: the routing is suspect.",
    ),
    row(
        MISTAKES,
        "tolerate_ratio",
        "1 to 1000",
        "1",
        "How many times as often as stable a version may be wrong, by the labels that come back.",
    ),
    row(MISTAKES, "weight", WEIGHT, "0.1", WEIGHS),
    row(MISTAKES, "on_failure", ON_FAILURE, ROLLBACK, FOLLOWS),
    row(
        LOSS,
        "tolerate_extra",
        "0 to 0.9",
        "0.01",
        "How much larger than stable's the mean loss may be, by the scores that come back.",
    ),
    row(LOSS, "weight", WEIGHT, "0.1", WEIGHS),
    row(LOSS, "on_failure", ON_FAILURE, ROLLBACK, FOLLOWS),
    row(
        STEADY_STATE,
        "mean_requests_between_false_alarms",
        "1000 or more",
        "100000000",
        "So many requests lie between two false alarms on average.",
    ),
    row(
        STEADY_STATE,
        "on_failure",
        ON_FAILURE,
        ROLLBACK,
        "What follows; a rollback goes to the version that was confirmed before, one step.",
    ),
    row(
        POLICY,
        "steps",
        "list of up to 32 tables",
        "",
        "What is done, one step after the other. Default: those of the built-in policy `default`.",
    ),
    row(
        POLICY,
        "max_duration",
        "duration",
        "\"24h\"",
        "A rollout that takes longer is inconclusive. Time in which it stands still or waits for a person does not count.",
    ),
    row(
        POLICY,
        "on_inconclusive",
        "`\"hold\"`, `\"rollback\"` or `\"promote\"`",
        "\"hold\"",
        "What follows when a rollout, or a step with a `max`, ends without proof.",
    ),
    row(
        POLICY,
        "progress_deadline",
        "duration",
        "\"10m\"",
        "No request for so long, though there should be some: a person is told. Silence is never a verdict.",
    ),
    row(
        POLICY,
        "rollback_window",
        "0 to 1000",
        "3",
        "How many of the versions last confirmed may be gone back to without being judged again.",
    ),
    row(
        POLICY,
        "cooldown",
        "duration",
        "\"0s\"",
        "After a rollback no rollout of the model begins for so long, unless a person insists.",
    ),
    row(POLICY, "retries", "0 to 1000", "1", "How often a version that was rolled back may be tried again by command."),
    row(
        POLICY,
        "freeze_after",
        "table",
        "{ rollbacks = 3, within = \"24h\" }",
        "So many automatic rollbacks within so long freeze the model's rollouts until a person resumes.",
    ),
    row(
        POLICY,
        "on_new_candidate",
        "`\"refuse\"`, `\"queue\"` or `\"replace\"`",
        "\"refuse\"",
        "What becomes of a candidate that comes while a rollout is under way.",
    ),
    row(
        POLICY,
        "guardrail",
        "table",
        "",
        "How candidates are judged under this policy; the keys of a model's guardrail, over those of the defaults. Without it the model's own holds.",
    ),
    row(
        STEPS,
        "gate",
        "true",
        "",
        "Checks that the candidate may serve at all. A step does one of `gate` to `promote`.",
    ),
    row(STEPS, "warm_up", "1 to 100000", "", "Runs it so often on made-up inputs."),
    row(STEPS, "shadow", "above 0, up to 1", "", "Gives it copies of this share of the requests that stable answers."),
    row(
        STEPS,
        "weight",
        "above 0, below 1",
        "",
        "Gives it this share of the traffic. Up to 0.5 there is an equal control.",
    ),
    row(
        STEPS,
        "pause",
        "text, up to 128 bytes",
        "",
        "Waits until a person approves; says who. Shares stay, and rules stay armed.",
    ),
    row(STEPS, "promote", "true", "", "Gives it all traffic; stable stays ready until the bake is over."),
    row(STEPS, "bake", "duration", "\"1h\"", "With `promote`: how long it is watched before it is confirmed."),
    row(STEPS, "min", "duration", "\"0s\"", "The step lasts at least so long."),
    row(STEPS, "max", "duration", "", "The step is inconclusive after so long. Default: never."),
    row(
        STEPS,
        "proofs",
        "list of `\"errors\"`, `\"latency\"`, `\"disagreement\"`",
        "",
        "What must be proven below its limit. Default: `[\"errors\"]` for `weight`, nothing for others.",
    ),
    row(
        STEPS,
        "min_requests",
        "0 to 1000000000000",
        "0",
        "The candidate has answered, or been shadowed by, so many requests in this step.",
    ),
    row(STEPS, "min_feedback", "0 to 1000000000000", "0", "So much feedback on it has come since the rollout began."),
    row(FREEZE_AFTER, "rollbacks", "1 to 1000", "3", "How many."),
    row(FREEZE_AFTER, "within", "duration", "\"24h\"", "Within how long."),
    row(
        EXPERIMENT,
        "model",
        "name of a model",
        "",
        "The model. It needs a sticky key: what has one key is a unit, and stays in one arm. Needed.",
    ),
    row(
        EXPERIMENT,
        "layer",
        "text",
        "",
        "Experiments of one layer never share a unit; layers are independent of each other. Default: the model's name.",
    ),
    row(
        EXPERIMENT,
        "share",
        "above 0, up to 1",
        "",
        "How much of the layer it takes: the first gap that is wide enough, in the order of the experiments' names, beside the ranges written as `units`. This or `units` is needed.",
    ),
    row(
        EXPERIMENT,
        "units",
        "list of two numbers from 0 to 1",
        "",
        "The range itself, as in `[0.0, 0.2]`: no other experiment that comes or goes moves it.",
    ),
    row(
        EXPERIMENT,
        "holdout",
        "0 to 0.9",
        "0",
        "The part of its units that is held out: stable answers them, and they are counted apart.",
    ),
    row(
        EXPERIMENT,
        "arms",
        "table of version or label = weight, or list of tables",
        "",
        "The arms, 2 to 15, as in a split; one of them with stable. Needed.",
    ),
    row(
        EXPERIMENT,
        "primary",
        "`\"errors\"`, `\"latency\"`, `\"mistakes\"` or `\"loss\"`",
        "\"errors\"",
        "What it is decided by. `mistakes` and `loss` come from feedback.",
    ),
    row(
        EXPERIMENT,
        "slower_than_ms",
        "above 0, up to 3600000",
        "",
        "An answer that takes longer is slow. Needed where `primary` is `latency`.",
    ),
    row(
        EXPERIMENT,
        "alpha",
        "above 0, up to 0.5",
        "0.01",
        "The probability with which arms that are equal may be told apart, however often one looks.",
    ),
    row(
        EXPERIMENT,
        "tolerance",
        "0 to 0.5",
        "0.005",
        "Differences up to here count as none, in units of `primary`: 0.005 is half a percentage point. With 0 there is always a difference to look for.",
    ),
    row(
        EXPERIMENT,
        "allocation",
        "`\"fixed\"` or table",
        "\"fixed\"",
        "Whether the weights stay, or follow what is seen.",
    ),
    row(
        EXPERIMENT,
        "on_equal",
        "`\"keep_stable\"` or `\"ask\"`",
        "\"keep_stable\"",
        "What follows when no arm is shown to be better; with `ask` a person decides.",
    ),
    row(EXPERIMENT, "max_duration", "duration", "\"14d\"", "It is over after so long."),
    row(ALLOCATION, "thompson", "table", "", "Each arm's share is the probability that it is the best."),
    row(THOMPSON, "floor", "above 0, up to 1 / number of arms", "0.05", "No arm gets less than this share."),
    row(THOMPSON, "update", "duration", "\"30s\"", "Time between two changes of the shares."),
];

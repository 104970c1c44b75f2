//! What came to be served otherwise becomes a row of the journal: the table in force from then on, whole, so that it can be
//! said later what served when.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use base_routing::{Facts, ModelRoute, Source, Split};
use base_serving::ServingModel;
use base_types::{Generation, ModelName, Version};
use control_config::explain;
use control_registry::journal::{Action, ArmTable, Entry, ExperimentTable, RuleTable, Table};

use crate::effect::Effect;
use crate::recorder::Job;
use crate::turn::Core;

/// The models of a snapshot.
type Models = HashMap<ModelName, Arc<ServingModel>>;

/// A table that came into force.
pub(crate) struct Published {
    pub(crate) name: ModelName,
    /// What is served from now on; `None` once the model is gone.
    pub(crate) model: Option<Arc<ServingModel>>,
    pub(crate) generation: u64,
    /// When it was published.
    pub(crate) at_unix_ms: u64,
}

/// What has to be recorded about the models that a publication concerns.
pub(crate) fn news<'a>(
    (before, after): (&Models, &Models),
    names: impl IntoIterator<Item = &'a ModelName>,
    (generation, at_unix_ms): (u64, u64),
) -> Vec<Effect> {
    let changed = names.into_iter().filter(|name| !is_same(before.get(*name), after.get(*name)));
    let news =
        |name: &ModelName| Published { name: name.clone(), model: after.get(name).cloned(), generation, at_unix_ms };
    changed.map(|name| Effect::Published(Box::new(news(name)))).collect()
}

/// Whether callers are answered as before: by the same table and the same content.
fn is_same(before: Option<&Arc<ServingModel>>, after: Option<&Arc<ServingModel>>) -> bool {
    let route = |model: Option<&Arc<ServingModel>>| model.is_some_and(|model| model.route.is_some());
    // Before its first table and after its last a model serves nobody.
    if !route(before) && !route(after) {
        return true;
    }
    let (Some(before), Some(after)) = (before, after) else { return false };
    let contents = |model: &ServingModel| {
        let versions = model.versions.iter().map(|(version, serving)| (*version, serving.digest));
        versions.collect::<Vec<_>>()
    };
    Arc::ptr_eq(before, after) || (before.route == after.route && contents(before) == contents(after))
}

impl Core {
    /// Hands the row over. Never call under the lock: a table takes a moment to write.
    pub(crate) fn record_published(&self, Published { name, model, generation, at_unix_ms }: Published) {
        let table = model.as_deref().and_then(of);
        let stable = table.as_ref().and_then(|table| Version::new(table.stable?));
        let digest = model.as_ref().and_then(|model| model.versions.get(&stable?)).map(|serving| serving.digest);
        let shares = table.as_ref().map(Table::shares).unwrap_or_default();
        let shares = shares.iter().map(|(version, share)| format!("{version}: {}", crate::traffic::percent(*share)));
        let after = shares.collect::<Vec<_>>().join(", ");
        let entry = Entry {
            model: Some(name),
            version: stable,
            digest,
            generation: Some(Generation(generation)),
            after: Some(if after.is_empty() { "nothing".to_owned() } else { after }),
            evidence_json: Some(Table::evidence(table)),
            ..Entry::new(at_unix_ms, "gateway", Action::Published)
        };
        self.recorder.later(Job::Append(Box::new(entry)));
    }
}

/// The table of a model as the journal keeps it; `None` while it serves nobody.
pub(crate) fn of(model: &ServingModel) -> Option<Table> {
    let table = of_route(model.route.as_ref()?);
    let versions = model.versions.iter().map(|(version, serving)| (version.get(), serving.digest.to_string()));
    Some(Table { versions: versions.collect(), ..table })
}

/// The same without the versions that can be asked for.
pub(crate) fn of_route(route: &ModelRoute) -> Table {
    let experiments = route
        .experiments
        .iter()
        .map(|experiment| ExperimentTable { name: experiment.name.to_string(), arms: arms(&experiment.split) });
    Table {
        stable: Some(route.stable.get()),
        arms: arms(&route.split),
        rules: rules(route),
        experiments: experiments.collect(),
        labels: route.labels.iter().map(|(label, version)| (label.to_string(), version.get())).collect(),
        sticky: route.sticky.iter().map(Source::to_string).collect(),
        ..Table::default()
    }
}

fn arms(split: &Split) -> Vec<ArmTable> {
    let total: f64 = split.arms().iter().map(|arm| arm.weight).sum();
    let arms = split.arms().iter().map(|arm| ArmTable {
        name: arm.name.to_string(),
        version: arm.version.get(),
        share: arm.weight / total,
        is_redirected: arm.is_redirected,
    });
    arms.collect()
}

/// The rules in the words they are explained in.
fn rules(route: &ModelRoute) -> Vec<RuleTable> {
    let rules = explain(route, None, &Nothing, 0).rules.into_iter().map(|rule| RuleTable {
        name: rule.name.to_string(),
        when: rule.conditions.into_iter().map(|condition| condition.text).collect(),
        then: rule.then,
    });
    rules.collect()
}

/// A request of which nothing is known.
struct Nothing;

impl Facts for Nothing {
    fn value(&self, _: &Source) -> Option<Cow<'_, str>> {
        None
    }
}

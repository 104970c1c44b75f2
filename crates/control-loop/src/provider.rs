//! Where versions run: what an edit of `provider` changes.

use base_serving::ModelLimits;

use crate::state::Model;

/// Versions that could not be loaded are tried again where routing.toml now names another provider. What is loaded
/// stays where it is until it is loaded again.
pub(crate) fn renew(model: &mut Model, limits: &ModelLimits) {
    if model.limits.provider == limits.provider {
        return;
    }
    let refused = |code: &str| code == "load_failed";
    for entry in model.versions.values_mut() {
        if entry.serving.is_none() && entry.reason.as_ref().is_some_and(|(code, _)| refused(code)) {
            entry.stamp = None;
        }
    }
}

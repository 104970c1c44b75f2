//! What the bits of an answer depend on besides the model: the session's options and what the processor can do, because
//! the runtime chooses its kernels by that.

/// The options of a session that can change bits. In step with `SessionOptions::configure`.
pub const SESSION_OPTIONS: &str = "arena=1 intra_op_threads=1 inter_op_threads=1 optimization=all";

/// What the processor can do as far as the runtime chooses kernels by it: names, sorted, with a space between.
pub fn cpu_features() -> String {
    let mut names = detected();
    names.sort_unstable();
    names.join(" ")
}

#[cfg(target_arch = "x86_64")]
fn detected() -> Vec<&'static str> {
    macro_rules! there {
        ($($name:tt),*) => { [$(($name, std::arch::is_x86_feature_detected!($name))),*] };
    }
    let features = there!(
        "sse4.1",
        "sse4.2",
        "avx",
        "avx2",
        "fma",
        "f16c",
        "avx512f",
        "avx512bw",
        "avx512cd",
        "avx512dq",
        "avx512vl",
        "avx512vnni",
        "avx512bf16",
        "avxvnni"
    );
    features.into_iter().filter_map(|(name, is_there)| is_there.then_some(name)).collect()
}

#[cfg(target_arch = "aarch64")]
fn detected() -> Vec<&'static str> {
    macro_rules! there {
        ($($name:tt),*) => { [$(($name, std::arch::is_aarch64_feature_detected!($name))),*] };
    }
    let features = there!("asimd", "fp16", "dotprod", "i8mm", "bf16", "sve", "sve2");
    features.into_iter().filter_map(|(name, is_there)| is_there.then_some(name)).collect()
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn detected() -> Vec<&'static str> {
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_are_told_in_one_order() {
        let text = cpu_features();
        let mut names: Vec<&str> = text.split_whitespace().collect();
        let told = names.clone();
        names.sort_unstable();
        names.dedup();
        assert_eq!(told, names);
        #[cfg(target_arch = "x86_64")]
        assert_eq!(told.contains(&"avx2"), std::arch::is_x86_feature_detected!("avx2"));
    }
}

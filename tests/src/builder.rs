//! Describes a gateway: its repository, its files, its flags.

use std::collections::BTreeMap;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use tempfile::TempDir;
use testkit::repository::Repository;

use crate::process::{binary, finish};
use crate::{Exit, Gateway, wait_until};

/// A gateway that can be started, and started again on the same folders.
#[derive(Clone)]
pub struct Builder {
    folder: Arc<TempDir>,
    repository: Repository,
    settings: BTreeMap<(String, String), String>,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    has_routing: bool,
    is_signal_proof: bool,
    is_bare: bool,
    /// Where the models are, if not in the repository's folder.
    models: Option<String>,
    has_models: bool,
    state: PathBuf,
}

impl Default for Builder {
    fn default() -> Self {
        let folder = TempDir::new().expect("a temporary folder can be made");
        let repository = Repository::new(folder.path().join("models")).expect("the repository can be made");
        for name in ["home", "config"] {
            fs::create_dir(folder.path().join(name)).expect("a folder can be made");
        }
        let builder = Self {
            state: folder.path().join("state"),
            folder: Arc::new(folder),
            repository,
            settings: BTreeMap::new(),
            arguments: Vec::new(),
            environment: Vec::new(),
            has_routing: false,
            is_signal_proof: false,
            is_bare: false,
            models: None,
            has_models: true,
        };
        // Free ports, and short waits where the defaults are made for people.
        let quick = [
            ("http.address", "\"127.0.0.1:0\""),
            ("grpc.address", "\"127.0.0.1:0\""),
            ("metrics.address", "\"127.0.0.1:0\""),
            ("admin.address", "\"127.0.0.1:0\""),
            ("repository.poll_ms", "50"),
            ("repository.settle_ms", "50"),
            ("bucket.poll_ms", "50"),
            ("watch.poll_ms", "100"),
            ("watch.quiet_ms", "20"),
            ("limits.drain_ms", "5000"),
        ];
        quick.into_iter().fold(builder, |builder, (key, value)| builder.set(key, value))
    }
}

impl Builder {
    /// Publishes a version of a model.
    pub fn model(self, model: &str, version: u64, content: &[u8]) -> Self {
        self.repository.publish(model, version, content).expect("a version can be published");
        self
    }

    /// Writes a model's `config.pbtxt`.
    pub fn pbtxt(self, model: &str, text: &str) -> Self {
        self.repository.config(model, text).expect("a file can be written");
        self
    }

    /// Writes routing.toml.
    pub fn routing(mut self, text: &str) -> Self {
        fs::write(self.routing_file(), text).expect("a file can be written");
        self.has_routing = true;
        self
    }

    /// Names routing.toml without writing it.
    pub fn routing_named(mut self) -> Self {
        self.has_routing = true;
        self
    }

    /// Sets a key of gateway.toml, such as `limits.body_bytes`, to a TOML value.
    pub fn set(mut self, key: &str, value: &str) -> Self {
        let (section, key) = key.rsplit_once('.').unwrap_or(("", key));
        self.settings.insert((section.to_owned(), key.to_owned()), value.to_owned());
        self
    }

    /// Adds arguments of the command line.
    pub fn arguments(mut self, arguments: &[&str]) -> Self {
        self.arguments.extend(arguments.iter().map(ToString::to_string));
        self
    }

    /// Sets a variable of the environment.
    pub fn environment(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Lets writes over the file size limit fail instead of ending the process, as a full disk does.
    pub fn without_file_size_signal(mut self) -> Self {
        self.is_signal_proof = true;
        self
    }

    /// Keeps the state in a folder below this one.
    pub fn state_in(mut self, folder: &Path) -> Self {
        self.state = folder.join("state");
        self
    }

    /// Reads the repository as a bucket, and not as a folder.
    pub fn bucket(self) -> Self {
        let address = format!("file://{}", self.repository.root().display());
        self.models_from(&address)
    }

    /// Reads models from this address.
    pub fn models_from(mut self, address: &str) -> Self {
        self.models = Some(address.to_owned());
        self
    }

    /// Serves from the store in [`Builder::store_folder`] as well.
    pub fn store(self) -> Self {
        let path = format!("{:?}", self.store_folder().display().to_string());
        self.set("store.path", &path).set("store.poll_ms", "50")
    }

    /// Serves without a model repository.
    pub fn without_repository(mut self) -> Self {
        self.has_models = false;
        self
    }

    /// The folder of a store, made by the first push.
    pub fn store_folder(&self) -> PathBuf {
        self.folder().join("store")
    }

    /// Starts it as a newcomer does: no gateway.toml and no state folder, only free ports.
    pub fn bare(mut self) -> Self {
        self.is_bare = true;
        self
    }

    /// Starts it and waits until it is ready.
    pub fn start(self) -> Gateway {
        Gateway::start(self)
    }

    /// Starts it where it must end by itself.
    pub fn run_to_end(&self) -> Exit {
        finish(&mut self.command())
    }

    /// Starts it and ends it as a power cut does, as soon as `when` holds: for what happens before it is ready.
    pub fn start_and_kill(&self, what: &str, when: impl FnMut() -> bool) {
        let mut command = self.command();
        let spawned = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let mut child = spawned.unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let waited = catch_unwind(AssertUnwindSafe(|| wait_until(what, when)));
        child.kill().expect("a child can be killed");
        child.wait().expect("a child can be waited for");
        waited.unwrap_or_else(|panic| resume_unwind(panic));
    }

    /// The model repository.
    pub fn repository(&self) -> &Repository {
        &self.repository
    }

    /// The folder around everything.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// routing.toml.
    pub fn routing_file(&self) -> PathBuf {
        self.folder().join("config/routing.toml")
    }

    /// The state folder.
    pub fn state_folder(&self) -> PathBuf {
        self.state.clone()
    }

    /// The home folder of the process.
    pub fn home(&self) -> PathBuf {
        self.folder().join("home")
    }

    /// The command that starts it; writes gateway.toml.
    pub(crate) fn command(&self) -> Command {
        let config = self.folder().join("config/gateway.toml");
        fs::write(&config, self.gateway_toml()).expect("a file can be written");
        let mut command = match self.is_signal_proof {
            // What the shell ignores, its successor ignores too.
            true => Command::new("sh"),
            false => Command::new(binary()),
        };
        if self.is_signal_proof {
            command.args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""]).arg(binary());
        }
        command.arg("serve");
        match &self.models {
            _ if !self.has_models => &mut command,
            Some(address) => command.arg("--model-repository").arg(address),
            None => command.arg("--model-repository").arg(self.repository.root()),
        };
        if self.is_bare {
            for flag in ["--http-address", "--grpc-address", "--metrics-address", "--admin-address"] {
                command.args([flag, "127.0.0.1:0"]);
            }
        } else {
            command.arg("--config").arg(config).arg("--state-dir").arg(self.state_folder());
        }
        if self.has_routing {
            command.arg("--routing").arg(self.routing_file());
        }
        command.args(&self.arguments).env("HOME", self.home()).current_dir(self.home());
        for name in ["XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "RUST_LOG"] {
            command.env_remove(name);
        }
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    fn gateway_toml(&self) -> String {
        let mut text = String::new();
        let mut last = "";
        // Keys without a section sort first, as TOML wants them.
        for ((section, key), value) in &self.settings {
            if section != last {
                text.push_str(&format!("[{section}]\n"));
                last = section;
            }
            text.push_str(&format!("{key} = {value}\n"));
        }
        text
    }
}

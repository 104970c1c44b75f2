//! Emulators of object stores, each a process of its own on a free port of this machine.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::{BucketsError, finish, io_at};

/// An emulator is given this long to listen.
const START_MAX: Duration = Duration::from_secs(60);

const AZURITE: &str = "azurite@3.37.0";

/// The bucket, and the prefix in it.
const BUCKET: &str = "models";
const PREFIX: &str = "team/models";

/// A store with an emulator in a registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Kind {
    /// Amazon S3, by moto.
    S3,
    /// Google Cloud Storage, by moto too: no registry has an emulator of the XML API, but where only lists and objects
    /// are asked for it is that of S3.
    Gcs,
    /// Azure Blob Storage, by Azurite.
    Azure,
}

/// An emulator that runs. It is killed when this is dropped.
pub struct Emulator {
    kind: Kind,
    child: Child,
    endpoint: String,
    python: PathBuf,
    script: PathBuf,
    /// Files on their way into the store.
    folder: PathBuf,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::S3, Self::Gcs, Self::Azure];

    /// Its name, which is the feature's as well.
    pub fn name(self) -> &'static str {
        match self {
            Self::S3 => "s3",
            Self::Gcs => "gcs",
            Self::Azure => "azure",
        }
    }
}

/// Makes sure that there is a Python with the packages; its path.
pub fn python(root: &Path, place: &Path, python: &Path) -> Result<PathBuf, BucketsError> {
    let folder = place.join("python");
    let inner = folder.join("bin").join("python");
    let wanted = root.join("xtask/src/buckets/requirements.txt");
    let wanted = (fs::read_to_string(&wanted).map_err(io_at(&wanted))?, wanted);
    let mark = folder.join("made-for");
    if fs::read_to_string(&mark).is_ok_and(|found| found == wanted.0) {
        return Ok(inner);
    }
    finish(Command::new(python).args(["-m", "venv", "--clear"]).arg(&folder), "python -m venv")?;
    let mut install = Command::new(&inner);
    install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"]).arg(&wanted.1);
    finish(&mut install, "pip install")?;
    fs::write(&mark, wanted.0).map_err(io_at(&mark))?;
    Ok(inner)
}

/// Starts the emulator of a store, with an empty bucket.
pub fn start(kind: Kind, root: &Path, place: &Path, python: &Path) -> Result<Emulator, BucketsError> {
    let folder = place.join(kind.name());
    if folder.exists() {
        fs::remove_dir_all(&folder).map_err(io_at(&folder))?;
    }
    fs::create_dir_all(&folder).map_err(io_at(&folder))?;
    let address = free_address().map_err(io_at(&folder))?;
    let mut command = match kind {
        Kind::S3 | Kind::Gcs => moto(python, address),
        Kind::Azure => azurite(place, &folder, address)?,
    };
    let log = folder.join("emulator.log");
    let file = File::create(&log).map_err(io_at(&log))?;
    let again = file.try_clone().map_err(io_at(&log))?;
    let child = command.stdin(Stdio::null()).stdout(file).stderr(again).spawn();
    let child = child.map_err(io_at(Path::new(command.get_program())))?;
    let emulator = Emulator {
        kind,
        child,
        endpoint: format!("http://{address}"),
        python: python.to_path_buf(),
        script: root.join("xtask/src/buckets/store.py"),
        folder,
    };
    let until = Instant::now() + START_MAX;
    while TcpStream::connect(address).is_err() {
        if Instant::now() > until {
            let (what, seconds) = (format!("the start of the emulator ({})", log.display()), START_MAX.as_secs());
            return Err(BucketsError::Patience { what, seconds, log: String::new() });
        }
        thread::sleep(Duration::from_millis(50));
    }
    emulator.ask(&["make"])?;
    Ok(emulator)
}

impl Emulator {
    /// The store it stands for.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The address for `--model-repository`.
    pub fn address(&self) -> String {
        let scheme = match self.kind {
            Kind::S3 => "s3",
            Kind::Gcs => "gs",
            Kind::Azure => "az",
        };
        format!("{scheme}://{BUCKET}/{PREFIX}")
    }

    /// What the environment tells the gateway, in the cloud's own way.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        let text = str::to_owned;
        match self.kind {
            Kind::S3 => vec![
                ("AWS_ENDPOINT", self.endpoint.clone()),
                ("AWS_ALLOW_HTTP", text("true")),
                ("AWS_REGION", text("us-east-1")),
                ("AWS_ACCESS_KEY_ID", text("key")),
                ("AWS_SECRET_ACCESS_KEY", text("secret")),
            ],
            Kind::Gcs => {
                let account = serde_json::json!({
                    "gcs_base_url": self.endpoint,
                    "disable_oauth": true,
                    "client_email": "",
                    "private_key": "",
                    "private_key_id": "",
                });
                vec![("GOOGLE_SERVICE_ACCOUNT_KEY", account.to_string()), ("GOOGLE_ALLOW_HTTP", text("true"))]
            }
            Kind::Azure => {
                vec![("AZURE_STORAGE_USE_EMULATOR", text("true")), ("AZURITE_BLOB_STORAGE_URL", self.endpoint.clone())]
            }
        }
    }

    /// Uploads an object under the prefix.
    pub fn put(&self, key: &str, content: &[u8]) -> Result<(), BucketsError> {
        let file = self.folder.join("upload");
        fs::write(&file, content).map_err(io_at(&file))?;
        self.ask(&["put", &format!("{PREFIX}/{key}"), &file.to_string_lossy()])
    }

    /// Uploads many empty objects into a folder under the prefix.
    pub fn crowd(&self, folder: &str, n_objects: usize) -> Result<(), BucketsError> {
        self.ask(&["crowd", &format!("{PREFIX}/{folder}"), &n_objects.to_string()])
    }

    /// Removes an object under the prefix.
    pub fn delete(&self, key: &str) -> Result<(), BucketsError> {
        self.ask(&["delete", &format!("{PREFIX}/{key}")])
    }

    fn ask(&self, action: &[&str]) -> Result<(), BucketsError> {
        let mut command = Command::new(&self.python);
        command.arg(&self.script).args([self.kind.name(), &self.endpoint, BUCKET]).args(action);
        finish(&mut command, &format!("store.py {}", action.join(" ")))
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        if let Err(error) = self.child.kill().and_then(|()| self.child.wait()) {
            eprintln!("could not end the emulator: {error}");
        }
    }
}

fn moto(python: &Path, address: SocketAddr) -> Command {
    let mut command = Command::new(python);
    command.args(["-m", "moto.server", "-H", "127.0.0.1", "-p", &address.port().to_string()]);
    command
}

fn azurite(place: &Path, folder: &Path, address: SocketAddr) -> Result<Command, BucketsError> {
    let home = place.join("npm");
    let program = home.join("node_modules/azurite/dist/src/blob/main.js");
    if !program.exists() {
        let mut install = Command::new("npm");
        install.args(["install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix"]);
        finish(install.arg(&home).arg(AZURITE), "npm install")?;
    }
    let mut command = Command::new("node");
    command.arg(program).args(["--silent", "--skipApiVersionCheck", "--blobHost", "127.0.0.1", "--blobPort"]);
    command.arg(address.port().to_string()).arg("--location").arg(folder.join("blobs"));
    Ok(command)
}

/// A port that was free a moment ago: neither emulator says which one it took.
fn free_address() -> std::io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}

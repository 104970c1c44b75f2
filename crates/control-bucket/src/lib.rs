//! Model repositories that lie in a bucket: `s3://`, `gs://`, `az://`, and `file://` for a folder behind the same door.
//!
//! Nothing that serves knows of buckets. A mirror lists the bucket, fetches what is new into a cache under the state
//! directory, and keeps a *view* there: a folder that looks exactly like a model repository on disk, so that the same
//! reader, checks and control loop serve it. A version appears in the view whole or not at all, and what a bucket out
//! of reach cannot say stays as it was.
//!
//! Read in this order: [`Address`] says where a bucket is; `key` and `wanted` decide what a listing means; `source`
//! asks the store; `cache`, `tree` and `view` are the folder on disk; `mirror` is one look at the bucket; [`Mirror`]
//! looks again and again.
//!
//! A bucket may also hold a store of pushed versions: `objects` is what the store asks of a place, `kept` what a gateway
//! keeps of it on disk.

mod address;
mod cache;
mod connect;
mod examine;
mod index;
mod kept;
mod key;
mod mirror;
mod objects;
mod source;
mod store;
mod task;
mod tree;
mod view;
mod wanted;

pub use address::{Address, AddressError, Cloud};
pub use examine::{Found, examine};
pub use kept::Kept;
pub use objects::BucketObjects;
pub use task::{Connections, Mirror, MirrorError, MirrorOptions};
pub use wanted::Bounds;

//! From an address to a store. Credentials, regions and endpoints come from the environment or the instance, in each
//! cloud's own way; nothing of that kind stands in a file of ours.

use std::sync::Arc;

use object_store::ObjectStore;
use object_store::local::LocalFileSystem;
use thiserror::Error;

use crate::Address;

/// Why there is no store.
#[derive(Debug, Error)]
pub(crate) enum ConnectError {
    /// The settings make no store, or the folder is not there.
    #[error("{0}")]
    Store(#[from] object_store::Error),
    /// The program was built without this cloud. Addresses are refused before it comes to this.
    #[cfg(not(all(feature = "s3", feature = "gcs", feature = "azure")))]
    #[error("the feature {0} is not built in")]
    NotBuilt(&'static str),
}

/// Makes the store of an address; asks nothing of it yet.
pub(crate) fn connect(address: &Address) -> Result<Arc<dyn ObjectStore>, ConnectError> {
    match address {
        Address::Folder(folder) => Ok(Arc::new(LocalFileSystem::new_with_prefix(folder)?)),
        Address::Cloud { cloud, bucket, .. } => cloud::connect(*cloud, bucket),
    }
}

#[cfg(not(feature = "cloud"))]
mod cloud {
    use std::sync::Arc;

    use object_store::ObjectStore;

    use super::ConnectError;
    use crate::Cloud;

    pub fn connect(cloud: Cloud, _bucket: &str) -> Result<Arc<dyn ObjectStore>, ConnectError> {
        Err(ConnectError::NotBuilt(cloud.feature()))
    }
}

#[cfg(feature = "cloud")]
mod cloud {
    use std::sync::Arc;
    use std::time::Duration;

    use object_store::{BackoffConfig, ClientConfigKey, ObjectStore, RetryConfig};

    use super::ConnectError;
    use crate::Cloud;

    /// The defaults end a request after 30 s, however much of a large object has come by then. Silence is what ends a
    /// request here; these win over the environment.
    const CLIENT: [(ClientConfigKey, &str); 3] = [
        (ClientConfigKey::Timeout, "1day"),
        (ClientConfigKey::ReadTimeout, "30s"),
        (ClientConfigKey::ConnectTimeout, "10s"),
    ];

    pub fn connect(cloud: Cloud, bucket: &str) -> Result<Arc<dyn ObjectStore>, ConnectError> {
        // Installed already: then that one serves.
        let _installed = rustls::crypto::ring::default_provider().install_default();
        match cloud {
            #[cfg(feature = "s3")]
            Cloud::S3 => {
                use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
                let builder = AmazonS3Builder::from_env().with_bucket_name(bucket).with_retry(retry());
                let set =
                    |builder: AmazonS3Builder, (key, value)| builder.with_config(AmazonS3ConfigKey::Client(key), value);
                Ok(Arc::new(CLIENT.into_iter().fold(builder, set).build()?))
            }
            #[cfg(feature = "gcs")]
            Cloud::Gcs => {
                use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};
                let builder = GoogleCloudStorageBuilder::from_env().with_bucket_name(bucket).with_retry(retry());
                let set = |builder: GoogleCloudStorageBuilder, (key, value)| {
                    builder.with_config(GoogleConfigKey::Client(key), value)
                };
                Ok(Arc::new(CLIENT.into_iter().fold(builder, set).build()?))
            }
            #[cfg(feature = "azure")]
            Cloud::Azure => {
                use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
                let builder = MicrosoftAzureBuilder::from_env().with_container_name(bucket).with_retry(retry());
                let set = |builder: MicrosoftAzureBuilder, (key, value)| {
                    builder.with_config(AzureConfigKey::Client(key), value)
                };
                Ok(Arc::new(CLIENT.into_iter().fold(builder, set).build()?))
            }
            #[cfg(not(all(feature = "s3", feature = "gcs", feature = "azure")))]
            cloud => Err(ConnectError::NotBuilt(cloud.feature())),
        }
    }

    /// The mirror tries again by itself; what is tried here only bridges a hiccup.
    fn retry() -> RetryConfig {
        RetryConfig { backoff: BackoffConfig::default(), max_retries: 3, retry_timeout: Duration::from_secs(30) }
    }
}

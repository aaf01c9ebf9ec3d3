//! Landing on HDFS.

use std::path::Path;

use hdfs_native::{ClientBuilder, WriteOptions};
use questlake_engine::settings::StoreUrl;
use questlake_engine::stores::error::StoreErrorKind;
use questlake_engine::stores::landing::objects::ObjectLanding;

use super::landing;

pub(crate) fn cluster() -> String {
    address("QUESTLAKE_TEST_HDFS_URL")
}

/// The value of a variable that the services are found by.
pub(crate) fn address(variable: &str) -> String {
    let missing = |_| {
        format!(
            "{variable} is not set: run `make services`, then take the variables of \
             `scripts/services.sh env`"
        )
    };
    std::env::var(variable).map_err(missing).unwrap()
}

/// A folder that no other test has.
pub(crate) fn new_folder() -> String {
    format!("/questlake-test/{}/landing", uuid::Uuid::new_v4())
}

/// Landing in this folder of a cluster.
pub(crate) fn open_at(cluster: &str, folder: &str) -> ObjectLanding {
    let url = StoreUrl::hdfs(&format!("{cluster}{folder}")).unwrap();
    // Nothing of landing is sent in parts.
    ObjectLanding::open(&url, Path::new("/nowhere")).unwrap()
}

/// What every landing store does, on this cluster.
pub(crate) async fn suite(cluster: &str) {
    let open = |folder: &str| open_at(cluster, folder);
    landing::suite(&open(&new_folder())).await;
    landing::large_files(&open(&new_folder())).await;
    let folder = new_folder();
    landing::writers_of_one_name(&open(&folder), &open(&folder)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn landing_store() {
    suite(&cluster()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unfinished_files() {
    let folder = new_folder();
    let client = ClientBuilder::new().with_url(cluster()).build().unwrap();
    // One that is still open, as a process that was killed leaves it.
    let begun = format!("{folder}/2026-01-01/.begun.tmp");
    let mut writer = client.create(&begun, WriteOptions::default()).await.unwrap();
    writer.write("half".into()).await.unwrap();
    landing::unfinished_files(&open_at(&cluster(), &folder)).await;
}

#[tokio::test]
async fn a_cluster_that_does_not_answer_is_named() {
    use questlake_engine::stores::landing::Landing;

    // The port of nobody: it was given out, and is free again.
    let port = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    };
    let text = format!("hdfs://127.0.0.1:{port}/questlake");
    let store =
        ObjectLanding::open(&StoreUrl::hdfs(&text).unwrap(), Path::new("/nowhere")).unwrap();
    let error = store.read("2026-01-01/a.qls", 0..1).await.unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Unavailable, "{error}");
    assert!(error.to_string().contains(&text), "{error}");
    assert!(error.to_string().contains("NameNode"), "{error}");
}

#[test]
fn a_name_service_that_nobody_describes_is_refused_at_once() {
    let url = StoreUrl::hdfs("hdfs://no-such-service/questlake").unwrap();
    let error = ObjectLanding::open(&url, Path::new("/nowhere")).unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Incompatible, "{error}");
    assert!(error.to_string().contains("HADOOP_CONF_DIR"), "{error}");
}

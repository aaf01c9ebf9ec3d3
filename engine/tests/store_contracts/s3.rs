//! Landing in a bucket.

use std::net::TcpListener;
use std::path::Path;
use std::time::{Duration, Instant};

use bytes::Bytes;
use object_store::aws::AmazonS3Builder;
use object_store::{ClientOptions, ObjectStoreExt};
use questlake_engine::settings::StoreUrl;
use questlake_engine::stores::error::StoreErrorKind;
use questlake_engine::stores::landing::Landing;
use questlake_engine::stores::landing::objects::ObjectLanding;

use super::landing;

/// Longest time until a call says that its store does not answer.
const PATIENCE: Duration = Duration::from_secs(180);

pub(crate) fn bucket() -> String {
    let variable = "QUESTLAKE_TEST_S3_URL";
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
    format!("{}/landing", uuid::Uuid::new_v4())
}

/// The URL of this folder of a bucket.
pub(crate) fn folder_of(bucket: &str, folder: &str) -> StoreUrl {
    let (bucket, options) = bucket.split_once('?').unwrap();
    StoreUrl::s3(&format!("{bucket}/{folder}?{options}")).unwrap()
}

/// Landing in this folder of a bucket.
pub(crate) fn open_at(bucket: &str, folder: &str) -> ObjectLanding {
    // Nothing is kept before it is sent.
    ObjectLanding::open(&folder_of(bucket, folder), Path::new("/nowhere")).unwrap()
}

/// The bucket's URL with another value of an option.
pub(crate) fn with_option(bucket: &str, name: &str, value: &str) -> String {
    let (location, options) = bucket.split_once('?').unwrap();
    let options: Vec<String> = options
        .split('&')
        .map(|option| match option.split_once('=') {
            Some((known, _)) if known == name => format!("{name}={value}"),
            _ => option.to_owned(),
        })
        .collect();
    format!("{location}?{}", options.join("&"))
}

fn open(folder: &str) -> ObjectLanding {
    open_at(&bucket(), folder)
}

fn option_of(bucket: &str, wanted: &str) -> String {
    let (_, options) = bucket.split_once('?').unwrap();
    let found = options.split('&').find_map(|option| option.strip_prefix(&format!("{wanted}=")));
    found.unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn landing_store() {
    landing::suite(&open(&new_folder())).await;
    landing::large_files(&open(&new_folder())).await;
    let folder = new_folder();
    landing::writers_of_one_name(&open(&folder), &open(&folder)).await;
}

/// Nothing of ours leaves one in a bucket; another program may.
#[tokio::test(flavor = "multi_thread")]
async fn unfinished_files() {
    let (bucket, folder) = (bucket(), new_folder());
    let client = AmazonS3Builder::new()
        .with_bucket_name(bucket.trim_start_matches("s3://").split('?').next().unwrap())
        .with_region(option_of(&bucket, "region"))
        .with_endpoint(option_of(&bucket, "endpoint"))
        .with_access_key_id(option_of(&bucket, "access_key_id"))
        .with_secret_access_key(option_of(&bucket, "secret_access_key"))
        .with_client_options(ClientOptions::new().with_allow_http(true))
        .build()
        .unwrap();
    let begun = format!("{folder}/2026-01-01/.begun.tmp");
    client.put(&begun.into(), "half".into()).await.unwrap();
    landing::unfinished_files(&open(&folder)).await;
}

/// More of them than an answer holds, which is a thousand.
#[tokio::test(flavor = "multi_thread")]
async fn many_segments_are_listed() {
    let store = open(&new_folder());
    let mut names: Vec<String> =
        (0..1100).map(|number| format!("2026-01-05/{number:04}.qls")).collect();
    names.sort();
    for some in names.chunks(50) {
        let seals = some.iter().map(|name| store.seal(name, vec![Bytes::from_static(b"x")]));
        futures::future::try_join_all(seals).await.unwrap();
    }
    let listed = store.list().await.unwrap();
    assert_eq!(listed, names.into_iter().map(|name| (name, 1)).collect::<Vec<_>>());
}

/// What is wrong with a bucket's URL, and what every call has to say of it.
struct Mistake {
    url: String,
    kind: StoreErrorKind,
    says: &'static [&'static str],
}

fn mistakes() -> Vec<Mistake> {
    let bucket = bucket();
    let (location, options) = bucket.split_once('?').unwrap();
    vec![
        Mistake {
            url: format!("{location}-that-nobody-has-made?{options}"),
            kind: StoreErrorKind::Incompatible,
            says: &["NoSuchBucket", "make the bucket"],
        },
        Mistake {
            url: with_option(&bucket, "secret_access_key", "wrong-secret"),
            kind: StoreErrorKind::Unavailable,
            says: &["SignatureDoesNotMatch", "check access_key_id"],
        },
        Mistake {
            url: with_option(&bucket, "access_key_id", "somebody"),
            kind: StoreErrorKind::Unavailable,
            says: &["InvalidAccessKeyId", "check access_key_id"],
        },
        Mistake {
            url: with_option(&bucket, "region", "eu-north-1"),
            kind: StoreErrorKind::Incompatible,
            says: &["AuthorizationHeaderMalformed", "check the bucket's region"],
        },
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn mistakes_are_told_from_segments_that_are_lost() {
    let secret = option_of(&bucket(), "secret_access_key");
    for Mistake { url, kind, says } in mistakes() {
        let store = open_at(&url, &new_folder());
        let name = "2026-01-01/a.qls";
        let errors = [
            store.seal(name, vec![Bytes::from_static(b"x")]).await.unwrap_err(),
            store.read(name, 0..1).await.unwrap_err(),
            store.list().await.unwrap_err(),
            store.remove(name).await.unwrap_err(),
            store.remove_unfinished(Duration::ZERO).await.unwrap_err(),
            store.ask().await.unwrap_err(),
        ];
        for error in errors {
            assert_eq!(error.kind, kind, "{error}");
            let text = error.to_string();
            assert!(says.iter().all(|part| text.contains(part)), "{says:?}: {text}");
            assert!(text.contains(&store.name()), "{text}");
            assert!(!text.contains(&secret) && !text.contains("wrong-secret"), "{text}");
        }
    }
}

/// A port at which nobody answers: taken, or free again.
fn silent_or_gone() -> [(Option<TcpListener>, u16); 2] {
    let port = || {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        (listener, port)
    };
    let (silent, gone) = (port(), port());
    [(Some(silent.0), silent.1), (None, gone.1)]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_does_not_answer_is_named() {
    let ports = silent_or_gone();
    let calls = ports.iter().map(|(_, port)| async move {
        let address = format!("http://127.0.0.1:{port}");
        let store = open_at(&with_option(&bucket(), "endpoint", &address), &new_folder());
        let name = "2026-01-01/a.qls";
        let begun = Instant::now();
        let (sealed, read) =
            tokio::join!(store.seal(name, vec![Bytes::from_static(b"x")]), store.read(name, 0..1));
        assert!(begun.elapsed() < PATIENCE, "{:?}", begun.elapsed());
        for error in [sealed.unwrap_err(), read.map(drop).unwrap_err()] {
            assert_eq!(error.kind, StoreErrorKind::Unavailable, "{error}");
            assert!(error.to_string().contains(&address), "{error}");
            assert!(error.to_string().contains("check that the store is up"), "{error}");
        }
    });
    futures::future::join_all(calls).await;
}

#[test]
fn what_would_not_be_encrypted_is_refused_at_once() {
    let url =
        "s3://games/landing?endpoint=http://127.0.0.1:9&access_key_id=k&secret_access_key=hush";
    let error =
        ObjectLanding::open(&StoreUrl::s3(url).unwrap(), Path::new("/nowhere")).unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Incompatible, "{error}");
    assert!(error.to_string().contains("allow_http=true"), "{error}");
    assert!(!error.to_string().contains("hush"), "{error}");
}

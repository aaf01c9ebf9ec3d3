//! Which NameNode of a name service is active.
//!
//! The client asks one NameNode after the other and waits for each as long as it takes. One that hangs
//! would keep it from all that stand behind it; so all are asked at once, before a client is made that
//! begins with the active one.

use std::time::Duration;

use hdfs_native::HdfsError;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use super::HdfsFailure;
use super::connection::Threads;
use super::name_service::NameService;

/// Longest wait for the active one to say so. Short, since it is asked again while a call is tried
/// again, and the other may have become active meanwhile.
const ASK_LIMIT: Duration = Duration::from_secs(5);

/// The number of the active NameNode. Fails if none says that it is active. `authority` is that of the
/// cluster's URL.
pub(super) async fn find_active(
    service: &NameService,
    authority: &str,
    threads: &Threads,
) -> Result<usize, HdfsFailure> {
    let mut asked = JoinSet::new();
    for index in 0..service.len() {
        let client = threads.client(authority, service.only(index))?;
        // The root is there whatever is stored, and a standby does not look.
        let ask = async move { (index, client.get_file_info("/").await.map(drop)) };
        asked.spawn_on(ask, threads.handle());
    }
    let deadline = Instant::now() + ASK_LIMIT;
    let mut answers = Answers::of(service);
    while let Ok(Some(answer)) = timeout_at(deadline, asked.join_next()).await {
        match answer {
            Ok((index, Ok(()))) => return Ok(index),
            Ok((index, Err(error))) => answers.take(index, error),
            // A panic, whose place in the list nobody knows: it counts as no answer.
            Err(error) => tracing::debug!(%error, "the HDFS client has failed"),
        }
    }
    Err(answers.into_failure(service))
}

/// What the NameNodes have said that are not active.
struct Answers {
    /// In their order; nothing if there was no answer.
    failures: Vec<Option<HdfsFailure>>,
}

impl Answers {
    fn of(service: &NameService) -> Self {
        Self { failures: (0..service.len()).map(|_| None).collect() }
    }

    fn take(&mut self, index: usize, error: HdfsError) {
        self.failures[index] = Some(error.into());
    }

    /// One that will be the same next time, such as a missing Kerberos ticket, tells more than that no
    /// NameNode was found to be active.
    fn into_failure(self, service: &NameService) -> HdfsFailure {
        let mut answers = Vec::new();
        for (index, failure) in self.failures.into_iter().enumerate() {
            let answer = match failure {
                Some(failure) if !failure.is_transient() => return failure,
                Some(failure) if failure.is_standby() => "standby".to_owned(),
                Some(failure) => failure.to_string(),
                None => HdfsFailure::TimedOut(ASK_LIMIT).to_string(),
            };
            answers.push(format!("{}: {answer}", service.describe(index)));
        }
        HdfsFailure::NoneActive { service: service.name().to_owned(), answers: answers.join("; ") }
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::super::hadoop_files::HadoopFiles;
    use super::*;

    fn service(addresses: [&str; 2]) -> NameService {
        let files = HadoopFiles::of(&[
            ("dfs.ha.namenodes.games", "nn1,nn2"),
            ("dfs.namenode.rpc-address.games.nn1", addresses[0]),
            ("dfs.namenode.rpc-address.games.nn2", addresses[1]),
        ]);
        NameService::of("games", &files).unwrap()
    }

    #[tokio::test]
    async fn one_that_is_gone_and_one_that_hangs_are_named_in_time() {
        // The kernel takes connections, and nobody answers.
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let silent_address = silent.local_addr().unwrap().to_string();
        // The port of nobody: it was given out, and is free again.
        let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let service = service([&silent_address, &gone]);
        let begun = Instant::now();
        let threads = Threads::start().unwrap();
        let failure = find_active(&service, "games", &threads).await.unwrap_err();
        assert!(begun.elapsed() < 2 * ASK_LIMIT, "{:?}", begun.elapsed());
        assert!(failure.is_transient(), "{failure}");
        let text = failure.to_string();
        assert!(text.contains("no NameNode of games is active"), "{text}");
        assert!(text.contains(&format!("nn1 ({silent_address}): no answer within 5 s")), "{text}");
        assert!(text.contains(&format!("nn2 ({gone}): ")), "{text}");
    }

    #[test]
    fn what_lasts_is_told_before_what_may_pass() {
        let service = service(["one:8020", "two:8020"]);
        let standby = || {
            let class = "org.apache.hadoop.ipc.StandbyException".to_owned();
            HdfsError::RPCError(class, "Operation category READ is not supported".to_owned())
        };
        let mut answers = Answers::of(&service);
        answers.take(0, standby());
        let failure = answers.into_failure(&service);
        let text = failure.to_string();
        assert!(
            text.ends_with("nn1 (one:8020): standby; nn2 (two:8020): no answer within 5 s"),
            "{text}"
        );
        let mut answers = Answers::of(&service);
        answers.take(0, standby());
        answers.take(1, HdfsError::NoSASLMechanism);
        let failure = answers.into_failure(&service);
        assert!(matches!(failure, HdfsFailure::Client(HdfsError::NoSASLMechanism)), "{failure}");
    }
}

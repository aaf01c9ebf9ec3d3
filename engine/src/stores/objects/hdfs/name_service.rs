//! The NameNodes of a name service, and the settings by which a client begins with one of them.

use tracing::warn;
use url::Url;

use super::hadoop_files::HadoopFiles;

/// The port of a NameNode whose address has none.
const DEFAULT_PORT: u16 = 8020;

/// Hadoop's name for a client that asks whichever NameNode is active.
const ACTIVE_ALONE: &str =
    "org.apache.hadoop.hdfs.server.namenode.ha.ConfiguredFailoverProxyProvider";

/// The end of Hadoop's name for a client that reads from observers.
const FROM_OBSERVERS: &str = ".ObserverReadProxyProvider";

/// A name service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NameService {
    name: String,
    nodes: Vec<NameNode>,
    reads_from_observers: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct NameNode {
    id: String,
    /// Host and port.
    address: String,
}

impl NameService {
    /// The name service that a URL with this authority means; nothing if it means a NameNode, or if
    /// the files do not tell the NameNodes one by one.
    pub(super) fn of(authority: &str, files: &HadoopFiles) -> Option<Self> {
        let name = match authority {
            "" => default_name(files)?,
            named => named.to_owned(),
        };
        let resolve = format!("dfs.client.failover.resolve-needed.{name}");
        let is_resolved =
            files.get(&resolve).is_some_and(|value| value.eq_ignore_ascii_case("true"));
        // One address may stand for several NameNodes then, which the client finds by itself.
        if name.contains(':') || is_resolved {
            return None;
        }
        let mut nodes = Vec::new();
        for id in files.list(&format!("dfs.ha.namenodes.{name}")) {
            let setting = format!("dfs.namenode.rpc-address.{name}.{id}");
            match files.get(&setting) {
                Some(address) => {
                    nodes.push(NameNode { id: id.to_owned(), address: with_port(address) });
                }
                None => {
                    warn!("Hadoop's configuration lists the NameNode {id}, but has no {setting}")
                }
            }
        }
        let provider = files.get(&provider_setting(&name));
        let reads_from_observers = provider.is_some_and(|class| class.ends_with(FROM_OBSERVERS));
        (!nodes.is_empty()).then_some(Self { name, nodes, reads_from_observers })
    }

    /// How many NameNodes it has.
    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Its name.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// What messages call one of its NameNodes.
    pub(super) fn describe(&self, index: usize) -> String {
        let node = &self.nodes[index];
        format!("{} ({})", node.id, node.address)
    }

    /// Settings for a client that asks this NameNode first, and then the others.
    pub(super) fn beginning_with(&self, first: usize) -> Vec<(String, String)> {
        let others = (0..self.len()).filter(|index| *index != first);
        self.settings(std::iter::once(first).chain(others))
    }

    /// Settings for a client that knows this NameNode alone.
    pub(super) fn only(&self, index: usize) -> Vec<(String, String)> {
        self.settings(std::iter::once(index))
    }

    fn settings(&self, order: impl Iterator<Item = usize>) -> Vec<(String, String)> {
        let name = &self.name;
        let ids: Vec<&str> = order.map(|index| self.nodes[index].id.as_str()).collect();
        let mut settings = vec![
            (format!("dfs.ha.namenodes.{name}"), ids.join(",")),
            (format!("dfs.client.failover.random.order.{name}"), "false".to_owned()),
        ];
        for node in &self.nodes {
            let setting = format!("dfs.namenode.rpc-address.{name}.{}", node.id);
            settings.push((setting, node.address.clone()));
        }
        // An observer may not know yet what another process has just written; and the client looks for
        // one among all NameNodes before each read, where one that hangs would be met each time.
        if self.reads_from_observers {
            settings.push((provider_setting(name), ACTIVE_ALONE.to_owned()));
        }
        settings
    }
}

fn provider_setting(name: &str) -> String {
    format!("dfs.client.failover.proxy.provider.{name}")
}

/// The name service that the files have for URLs without one.
fn default_name(files: &HadoopFiles) -> Option<String> {
    let url = Url::parse(files.get("fs.defaultFS")?).ok()?;
    if url.scheme() != "hdfs" || url.port().is_some() {
        return None;
    }
    url.host_str().map(str::to_owned)
}

fn with_port(address: &str) -> String {
    let port = address.rsplit_once(':').map(|(_, port)| port);
    match port {
        Some(port) if port.parse::<u16>().is_ok() => address.to_owned(),
        _ => format!("{address}:{DEFAULT_PORT}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GAMES: &[(&str, &str)] = &[
        ("fs.defaultFS", "hdfs://games"),
        ("dfs.ha.namenodes.games", "nn1, nn2,nn3"),
        ("dfs.namenode.rpc-address.games.nn1", "one:8020"),
        ("dfs.namenode.rpc-address.games.nn2", "two"),
        ("dfs.namenode.rpc-address.games.nn3", "three:9000"),
    ];

    fn games(more: &[(&str, &str)]) -> Option<NameService> {
        NameService::of("games", &HadoopFiles::of(&[GAMES, more].concat()))
    }

    fn value<'a>(settings: &'a [(String, String)], name: &str) -> Option<&'a str> {
        let found = settings.iter().find(|(known, _)| known == name)?;
        Some(&found.1)
    }

    #[test]
    fn a_client_begins_with_the_name_node_that_is_wanted() {
        let service = games(&[]).unwrap();
        assert_eq!(service.len(), 3);
        assert_eq!(service.describe(1), "nn2 (two:8020)");
        let settings = service.beginning_with(1);
        assert_eq!(value(&settings, "dfs.ha.namenodes.games"), Some("nn2,nn1,nn3"));
        assert_eq!(value(&settings, "dfs.namenode.rpc-address.games.nn2"), Some("two:8020"));
        assert_eq!(value(&settings, "dfs.client.failover.random.order.games"), Some("false"));
        assert_eq!(value(&settings, "dfs.client.failover.proxy.provider.games"), None);
        assert_eq!(value(&service.only(2), "dfs.ha.namenodes.games"), Some("nn3"));
    }

    #[test]
    fn a_name_service_is_told_from_a_name_node() {
        let files = HadoopFiles::of(GAMES);
        assert_eq!(NameService::of("", &files).unwrap().name(), "games");
        for authority in ["one:8020", "[::1]:8020", "others"] {
            assert_eq!(NameService::of(authority, &files), None, "{authority}");
        }
        let elsewhere = [("fs.defaultFS", "file:///"), ("fs.defaultFS", "hdfs://one:8020")];
        for setting in elsewhere {
            assert_eq!(NameService::of("", &HadoopFiles::of(&[setting])), None, "{setting:?}");
        }
        assert_eq!(games(&[("dfs.client.failover.resolve-needed.games", "TRUE")]), None);
    }

    #[test]
    fn a_name_node_without_an_address_is_left_out() {
        let service = games(&[("dfs.ha.namenodes.games", "nn0,nn2")]).unwrap();
        assert_eq!((service.len(), service.describe(0)), (1, "nn2 (two:8020)".to_owned()));
    }

    #[test]
    fn observers_are_not_read_from() {
        let setting = "dfs.client.failover.proxy.provider.games";
        let class = "org.apache.hadoop.hdfs.server.namenode.ha.ObserverReadProxyProvider";
        let service = games(&[(setting, class)]).unwrap();
        assert_eq!(value(&service.beginning_with(0), setting), Some(ACTIVE_ALONE));
    }
}

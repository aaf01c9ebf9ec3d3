//! What Hadoop's own configuration files say about name services.
//!
//! The client reads the same files, but takes each name and value as it stands. Hadoop leaves out the
//! white space around them, and between the items of a list: of `nn1, nn2` the client would know one
//! NameNode, and never say that it does not know the other.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use roxmltree::{Document, ParsingOptions};

/// Settings by name.
#[derive(Debug, Default)]
pub(super) struct HadoopFiles(HashMap<String, String>);

impl HadoopFiles {
    /// Reads the folder that the client reads. A file that is no XML is left out: the client says so.
    pub(super) fn read() -> Self {
        let folder = match std::env::var_os("HADOOP_CONF_DIR") {
            Some(folder) => Some(PathBuf::from(folder)),
            None => std::env::var_os("HADOOP_HOME").map(|home| Path::new(&home).join("etc/hadoop")),
        };
        folder.map(|folder| Self::read_folder(&folder)).unwrap_or_default()
    }

    fn read_folder(folder: &Path) -> Self {
        let mut files = Self::default();
        for name in ["core-site.xml", "hdfs-site.xml"] {
            if let Ok(text) = std::fs::read_to_string(folder.join(name)) {
                files.add(&text);
            }
        }
        files
    }

    /// Adds what a file says; of two values the later one holds.
    fn add(&mut self, text: &str) {
        let options = ParsingOptions { allow_dtd: true, ..ParsingOptions::default() };
        let Ok(document) = Document::parse_with_options(text, options) else { return };
        for property in document.root_element().children() {
            if !property.has_tag_name("property") {
                continue;
            }
            let [name, value] = ["name", "value"].map(|tag| {
                let node = property.children().find(|child| child.has_tag_name(tag))?;
                node.text().map(str::trim)
            });
            if let (Some(name), Some(value)) = (name, value) {
                self.0.insert(name.to_owned(), value.to_owned());
            }
        }
    }

    /// The value of a setting.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// The items of a setting that is a list.
    pub(super) fn list(&self, name: &str) -> impl Iterator<Item = &str> {
        let items = self.get(name).unwrap_or_default().split(',');
        items.map(str::trim).filter(|item| !item.is_empty())
    }

    /// Settings that do not come from files.
    #[cfg(test)]
    pub(super) fn of(settings: &[(&str, &str)]) -> Self {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Self(settings.iter().map(owned).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn white_space_and_comments_do_not_count() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(
            folder.path().join("core-site.xml"),
            "<?xml version=\"1.0\"?>\n<?xml-stylesheet type=\"text/xsl\" href=\"x.xsl\"?>\n\
             <!-- Ours. -->\n<configuration>\n  <property>\n    <name>\n  fs.defaultFS </name>\n\
             <value> hdfs://games\n</value><final>true</final></property>\n\
             <property><name>empty</name><value/></property>\n\
             <property><name>twice</name><value>first</value></property></configuration>",
        )
        .unwrap();
        std::fs::write(
            folder.path().join("hdfs-site.xml"),
            "<configuration><property><name>dfs.ha.namenodes.games</name>\
             <value>nn1,\n nn2 ,</value></property>\
             <property><name>twice</name><value>second</value></property></configuration>",
        )
        .unwrap();
        let files = HadoopFiles::read_folder(folder.path());
        assert_eq!(files.get("fs.defaultFS"), Some("hdfs://games"));
        assert_eq!(files.list("dfs.ha.namenodes.games").collect::<Vec<_>>(), ["nn1", "nn2"]);
        assert_eq!(files.get("twice"), Some("second"));
        assert_eq!(files.get("empty"), None);
        assert_eq!(files.list("missing").count(), 0);
    }

    #[test]
    fn what_cannot_be_read_says_nothing() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("hdfs-site.xml"), "<configuration>").unwrap();
        assert!(HadoopFiles::read_folder(folder.path()).0.is_empty());
    }
}

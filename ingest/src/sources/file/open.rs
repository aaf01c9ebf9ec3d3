//! Opening a file, by what its first bytes say that it is.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use flate2::read::MultiGzDecoder;

use super::{FileProgress, READ_BYTES};

/// What is no text of ours, by its first bytes; and the command that makes it such on its standard
/// output.
const FOREIGN: &[(&[u8], &str, &str)] = &[
    (b"\x28\xB5\x2F\xFD", "compressed with zstd", "zstd -dc"),
    (b"BZh", "compressed with bzip2", "bzip2 -dc"),
    (b"\xFD7zXZ\0", "compressed with xz", "xz -dc"),
    (b"\x04\x22\x4D\x18", "compressed with LZ4", "lz4 -dc"),
    (b"PK\x03\x04", "a ZIP archive", "unzip -p"),
    (b"\xFF\xFE", "UTF-16", "iconv -f UTF-16 -t UTF-8"),
    (b"\xFE\xFF", "UTF-16", "iconv -f UTF-16 -t UTF-8"),
];

/// Opens a file and unpacks it if its first bytes say that it is gzip.
pub(super) fn open(path: &Path, progress: &Arc<FileProgress>) -> io::Result<Box<dyn Read>> {
    // Asked before it is opened: to open a pipe is to wait for whoever writes into it.
    let kind = std::fs::metadata(path)?.file_type();
    if kind.is_dir() {
        return Err(io::Error::other("it is a folder; name the files in it"));
    }
    if !kind.is_file() {
        return Err(io::Error::other(
            "it is a pipe or a device, which can be read only once; give it as standard input: \
             `questlake ingest -`",
        ));
    }
    let mut file = File::open(path)?;
    let mut first = Vec::new();
    (&file).take(8).read_to_end(&mut first)?;
    for (magic, what, command) in FOREIGN {
        if first.starts_with(magic) {
            let path = path.display();
            return Err(io::Error::other(format!(
                "it is {what}; `{command} {path} | questlake ingest -` takes it in"
            )));
        }
    }
    file.seek(SeekFrom::Start(0))?;
    let counting = Counting { file, progress: Arc::clone(progress) };
    if first.starts_with(&[0x1f, 0x8b]) {
        Ok(Box::new(Gzip(MultiGzDecoder::new(BufReader::with_capacity(READ_BYTES, counting)))))
    } else {
        Ok(Box::new(counting))
    }
}

/// Counts the bytes that are read from disk.
struct Counting {
    file: File,
    progress: Arc<FileProgress>,
}

impl Read for Counting {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        self.progress.bytes_read.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

/// Says what to do where the unpacked content ends too early.
struct Gzip(MultiGzDecoder<BufReader<Counting>>);

impl Read for Gzip {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => io::Error::new(
                error.kind(),
                format!("the gzip is cut off ({error}); get the file whole and give it again"),
            ),
            io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => io::Error::new(
                error.kind(),
                format!("the gzip is damaged ({error}); get the file anew and give it again"),
            ),
            _ => error,
        })
    }
}

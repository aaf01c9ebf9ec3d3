//! One installation in a folder of its own, and the binary run on it.

use std::ffi::OsStr;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// No command of these tests may take longer.
const COMMAND_DEADLINE: Duration = Duration::from_secs(300);

/// Pause between two looks at something that is waited for.
const POLL_PAUSE: Duration = Duration::from_millis(2);
const LONGEST_POLL_PAUSE: Duration = Duration::from_millis(500);

/// The folder of the bundled project.
pub(crate) fn bundled_project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

/// Waits until `condition` gives something; fails when that takes too long.
pub(crate) fn wait_for<T>(what: &str, condition: impl FnMut() -> Option<T>) -> T {
    wait_up_to(COMMAND_DEADLINE, what, condition)
}

/// The same for what may take so long.
pub(crate) fn wait_up_to<T>(
    longest: Duration,
    what: &str,
    mut condition: impl FnMut() -> Option<T>,
) -> T {
    let deadline = Instant::now() + longest;
    loop {
        let begun = Instant::now();
        if let Some(found) = condition() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        // A look may be a process of its own: what is waited for needs the processor more.
        std::thread::sleep((begun.elapsed() * 3).clamp(POLL_PAUSE, LONGEST_POLL_PAUSE));
    }
}

/// An installation: a data folder, a project, and room for other files.
pub(crate) struct Sandbox {
    /// Shared with the same installation under another project.
    folder: Arc<TempDir>,
    project: PathBuf,
    /// Variables of every command.
    variables: Vec<(&'static str, String)>,
}

/// A command that has ended.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Finished {
    /// Standard output and standard error.
    pub(crate) fn text(&self) -> String {
        format!("{}\n{}", self.stdout, self.stderr)
    }

    /// Whether the process was ended by this signal.
    pub(crate) fn was_killed_by(&self, signal: i32) -> bool {
        self.status.signal() == Some(signal)
    }

    /// Standard output as one JSON value.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("no JSON ({error}): {self:#?}"))
    }
}

impl Sandbox {
    /// An empty installation of the bundled project.
    pub(crate) fn new() -> Self {
        Self::with_project(&bundled_project())
    }

    /// An empty installation of the project in this folder.
    pub(crate) fn with_project(project: &Path) -> Self {
        let folder = Arc::new(tempfile::tempdir_in(sandbox_root()).unwrap());
        Self { folder, project: project.to_path_buf(), variables: Vec::new() }
    }

    /// The same installation under another project.
    pub(crate) fn with_other_project(&self, project: &Path) -> Self {
        let (folder, variables) = (Arc::clone(&self.folder), self.variables.clone());
        Self { folder, project: project.to_path_buf(), variables }
    }

    /// The same installation with these variables for every command, after those it has.
    pub(crate) fn with_variables(&self, variables: &[(&'static str, String)]) -> Self {
        let variables = [&self.variables, variables].concat();
        Self { folder: Arc::clone(&self.folder), project: self.project.clone(), variables }
    }

    /// An installation of the bundled project with a copy of another's data.
    pub(crate) fn copy_of(other: &Self) -> Self {
        let copy = Self::with_project(&other.project);
        copy_folder(&other.data(), &copy.data());
        copy
    }

    /// The data folder.
    pub(crate) fn data(&self) -> PathBuf {
        self.path("data")
    }

    /// A path in the sandbox.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file in the sandbox and returns its path.
    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, content).unwrap();
        path
    }

    /// A command on this installation; nothing of the tests' environment has a say in it.
    pub(crate) fn command<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_questlake"));
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("QUESTLAKE_") {
                command.env_remove(name);
            }
        }
        command
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .current_dir(self.folder.path())
            .args(arguments)
            .arg("--data")
            .arg(self.data())
            .arg("--project")
            .arg(&self.project)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Runs a command to its end.
    pub(crate) fn run<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Finished {
        Running::start(&mut self.command(arguments)).finish()
    }

    /// Runs a command with this on its standard input.
    pub(crate) fn run_with_input<S: AsRef<OsStr>>(
        &self,
        arguments: &[S],
        input: &[u8],
    ) -> Finished {
        Running::start_with_input(&mut self.command(arguments), input.to_vec()).finish()
    }

    /// Runs a command that must succeed.
    pub(crate) fn succeed<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Finished {
        let finished = self.run(arguments);
        let shown: Vec<_> = arguments.iter().map(|argument| argument.as_ref()).collect();
        assert!(finished.status.success(), "{shown:?} failed: {finished:#?}");
        finished
    }

    /// Runs a command that must fail: exit code 1.
    pub(crate) fn fail<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Finished {
        self.end_with(1, arguments)
    }

    /// Runs a command that must be refused for how it was called: exit code 2.
    pub(crate) fn refuse<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Finished {
        self.end_with(2, arguments)
    }

    fn end_with<S: AsRef<OsStr>>(&self, code: i32, arguments: &[S]) -> Finished {
        let finished = self.run(arguments);
        let shown: Vec<_> = arguments.iter().map(|argument| argument.as_ref()).collect();
        assert_eq!(finished.status.code(), Some(code), "{shown:?}: {finished:#?}");
        assert!(finished.text().trim().len() > 10, "{shown:?} says nothing: {finished:#?}");
        finished
    }

    /// Takes in files, and returns the totals of what was reported.
    pub(crate) fn ingest(&self, files: &[&Path]) -> Value {
        let mut arguments = vec!["ingest".as_ref(), "--format".as_ref(), "json".as_ref()];
        arguments.extend(files.iter().map(|file| file.as_os_str()));
        self.succeed(&arguments).json()
    }

    /// Brings the star schema up to date.
    pub(crate) fn etl(&self) {
        self.succeed(&["etl", "run"]);
    }

    /// The rows of a query.
    pub(crate) fn query(&self, sql: &str) -> Vec<Value> {
        let arguments = ["query", "--format", "ndjson", "--query-max-rows", "0", sql];
        let lines = self.succeed(&arguments).stdout;
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Moves to the archive what every model has read, however young it is, unless the flags say
    /// otherwise; removes from landing at once what is safely there. Nobody may be reading. Returns the report.
    pub(crate) fn archive(&self, flags: &[&str]) -> Value {
        let mut arguments = vec!["archive", "--archive-grace", "0s", "--format", "json"];
        arguments.extend(["--archive-after", "0s"]);
        arguments.extend(flags);
        self.succeed(&arguments).json()
    }

    /// What `questlake status` says.
    pub(crate) fn status(&self) -> Value {
        self.succeed(&["status", "--format", "json"]).json()
    }
}

/// Where sandboxes are made. Small ones that are not to wait for a disk lie in memory, where the
/// system has such a folder: a process that is killed loses nothing there that it has written.
pub(crate) fn sandbox_root() -> PathBuf {
    let memory = Path::new("/dev/shm");
    if crate::SANDBOXES_IN_MEMORY && memory.is_dir() {
        return memory.to_path_buf();
    }
    std::env::temp_dir()
}

/// Copies a folder with all that is in it.
pub(crate) fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), &target).unwrap();
        }
    }
}

/// A command under way. Dropping it kills the process.
pub(crate) struct Running {
    child: Child,
    stdout: Option<JoinHandle<String>>,
    stderr: Option<JoinHandle<String>>,
}

impl Running {
    /// Starts a command of [`Sandbox::command`].
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child = command.spawn().unwrap();
        let stdout = child.stdout.take().map(read_all);
        let stderr = child.stderr.take().map(read_all);
        Self { child, stdout, stderr }
    }

    /// Starts a command and feeds its standard input.
    pub(crate) fn start_with_input(command: &mut Command, input: Vec<u8>) -> Self {
        let mut running = Self::start(command.stdin(Stdio::piped()));
        let mut pipe = running.child.stdin.take().unwrap();
        // The process may end before it has read everything; then the pipe breaks.
        std::thread::spawn(move || pipe.write_all(&input));
        running
    }

    /// Whether the process has ended.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Ends the process as a failing machine would.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
    }

    /// Sends a signal by its name, such as `INT`.
    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill")
            .args([format!("-{name}"), self.child.id().to_string()])
            .status()
            .unwrap();
        assert!(status.success(), "the process had ended before SIG{name}");
    }

    /// Waits for the end of the process.
    pub(crate) fn finish(self) -> Finished {
        self.finish_within(COMMAND_DEADLINE)
    }

    /// Waits for the end of a process that may take so long.
    pub(crate) fn finish_within(mut self, longest: Duration) -> Finished {
        let ended = || self.child.try_wait().unwrap();
        let status = wait_up_to(longest, "the end of a command", ended);
        let stdout = self.stdout.take().map(|reader| reader.join().unwrap()).unwrap_or_default();
        let stderr = self.stderr.take().map(|reader| reader.join().unwrap()).unwrap_or_default();
        Finished { status, stdout, stderr }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself, which is just as well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read_all(mut pipe: impl Read + Send + 'static) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = pipe.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

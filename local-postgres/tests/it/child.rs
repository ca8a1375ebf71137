//! Other processes: this test program once more, running one scenario until its standard input ends.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, channel};

use local_postgres::Profile;
use local_postgres::testing::{Cluster, Database};

use crate::PATIENCE;

/// Which scenario to run.
const SCENARIO: &str = "LOCAL_POSTGRES_SCENARIO";
/// What it is about.
const ABOUT: &str = "LOCAL_POSTGRES_ABOUT";
/// How a line meant for the parent begins.
const MARK: &str = "child: ";
/// The conventional id of nobody.
const NOBODY: u32 = 65534;

/// A process running a scenario; killed when dropped.
pub(crate) struct Child {
    process: std::process::Child,
    said: Receiver<String>,
}

/// How to run a scenario.
pub(crate) struct Scenario {
    command: Command,
}

/// A scenario about a folder or key.
pub(crate) fn scenario(name: &str, about: impl AsRef<OsStr>) -> Scenario {
    of_program(&std::env::current_exe().unwrap(), name, about.as_ref())
}

fn of_program(program: &Path, name: &str, about: &OsStr) -> Scenario {
    let mut command = Command::new(program);
    command.args(["--exact", "child::scenarios", "--ignored", "--nocapture"]);
    command
        .env(SCENARIO, name)
        .env(ABOUT, about)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    Scenario { command }
}

/// The same as nobody, from a copy of this program that nobody can reach; root only.
pub(crate) fn as_nobody(name: &str, about: &Path, room: &Path) -> Scenario {
    let program = room.join("test-program");
    if !program.exists() {
        std::fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    }
    let mut scenario = of_program(&program, name, about.as_os_str());
    scenario.command.uid(NOBODY).gid(NOBODY).current_dir("/");
    // Where root keeps what it has fetched: this nobody has no home to fetch it to.
    scenario.command.env("XDG_DATA_HOME", "/var/lib");
    scenario
}

/// Gives a folder to nobody.
pub(crate) fn give_to_nobody(folder: &Path) {
    std::os::unix::fs::chown(folder, Some(NOBODY), Some(NOBODY)).unwrap();
}

impl Scenario {
    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    pub(crate) fn run(mut self) -> Child {
        let mut process = self.command.spawn().unwrap();
        let output = BufReader::new(process.stdout.take().unwrap());
        let (tell, said) = channel();
        std::thread::spawn(move || {
            // The test harness may have begun the line.
            for line in output.lines().map_while(Result::ok) {
                if let Some((_, line)) = line.split_once(MARK)
                    && tell.send(line.to_owned()).is_err()
                {
                    break;
                }
            }
        });
        Child { process, said }
    }
}

impl Child {
    /// The next thing it says.
    pub(crate) fn says(&self) -> String {
        self.said
            .recv_timeout(PATIENCE)
            .expect("the child says nothing")
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Lets it go on past the end of its input, and waits for its last words.
    pub(crate) fn finish(mut self) -> String {
        drop(self.process.stdin.take());
        let words = self.says();
        assert!(self.process.wait().unwrap().success());
        words
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Says something to the parent, past the test harness, which keeps what is printed to itself.
pub(crate) fn say(words: &str) {
    let mut output = std::io::stdout();
    writeln!(output, "{MARK}{words}").unwrap();
    output.flush().unwrap();
}

fn wait_for_the_end_of_input() {
    let _ = std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
}

#[tokio::test]
#[ignore = "run by the other tests, in a process of its own"]
async fn scenarios() {
    let about = std::env::var_os(ABOUT).unwrap();
    match std::env::var(SCENARIO).unwrap().as_str() {
        "hold" => hold(&PathBuf::from(about)).await,
        "fail" => fail(&PathBuf::from(about)).await,
        "database" => database(&about.to_string_lossy()).await,
        "half a template" => half_a_template(&about.to_string_lossy()).await,
        "cluster" => cluster().await,
        "many templates" => many_templates().await,
        other => panic!("no scenario {other}"),
    }
}

/// Uses the server of a folder: says its process id, then what leaving came to.
async fn hold(folder: &Path) {
    let server = crate::start(folder).await;
    assert_eq!(
        crate::number(&server.url("postgres"), "select 1::bigint").await,
        1
    );
    say(&server.postmaster_pid().to_string());
    wait_for_the_end_of_input();
    say(&format!("{:?}", server.stop().await.unwrap()));
}

/// Fails to start a server, and says why.
async fn fail(folder: &Path) {
    let options = local_postgres::Options::new(folder, Profile::Disposable);
    let error = local_postgres::Server::start(options).await.unwrap_err();
    say(&error.to_string().replace('\n', " "));
}

/// Uses a test database: says its URI, then goodbye.
async fn database(key: &str) {
    let database = Database::create(key, async |url| {
        crate::execute(
            url,
            "create table note (text text); insert into note values ('prepared')",
        )
        .await;
        say("prepared");
        Ok(())
    });
    let database = database.await.unwrap();
    say(database.url());
    wait_for_the_end_of_input();
    drop(database);
    say("goodbye");
}

/// Gets half-way through the preparation of a template, and stays there.
async fn half_a_template(key: &str) {
    let database = Database::create(key, async |url| {
        crate::execute(url, "create table half (text text)").await;
        say("half-way");
        std::future::pending().await
    });
    let _ = database.await;
}

/// Makes more templates than are kept, and says after each how many there are.
async fn many_templates() {
    for key in 0..10 {
        let database = Database::create(&key.to_string(), async |_| Ok(()))
            .await
            .unwrap();
        let templates = "select count(*) from pg_database where starts_with(datname, 'template_')";
        // Beside template0 and template1, which are the server's own and have no underscore.
        say(&crate::number(database.url(), templates).await.to_string());
    }
    wait_for_the_end_of_input();
    say("goodbye");
}

/// Uses a server of its own: says its process id and folder.
async fn cluster() {
    let cluster = Cluster::start(Profile::Disposable).await.unwrap();
    say(&cluster.postmaster_pid().to_string());
    say(&cluster.folder().display().to_string());
    wait_for_the_end_of_input();
    drop(cluster);
}

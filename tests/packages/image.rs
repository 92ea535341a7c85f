//! The image: what the last stage of `deploy/Dockerfile` makes of the root that
//! `scripts/image-root` makes, built and run by buildah.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::machine::{Machine, done, made, until};

const SECRET: &str = "f3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// The last stage of the file, with what the stage before it made taken from the context.
fn last_stage() -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/Dockerfile");
    let text = fs::read_to_string(file).unwrap();
    let stage = &text[text.find("FROM scratch").unwrap()..];
    let from_context = stage.replace("COPY --from=build /image/ /", "COPY . /");
    assert_ne!(stage, from_context);
    from_context
}

/// A network with the image built in it, and the line that calls buildah there.
fn built() -> (Machine, String) {
    let machine = Machine::network();
    let directory = machine.path("").display().to_string();
    fs::write(machine.path("Dockerfile"), last_stage()).unwrap();
    let buildah =
        format!("buildah --root {directory}/root --runroot {directory}/run --storage-driver vfs");
    let image = made("image").display().to_string();
    machine.run(&format!(
        "{buildah} build --isolation chroot --format docker -t worker -f {directory}/Dockerfile {image}"
    ));
    (machine, buildah)
}

/// The configuration of the image, as Docker has it.
fn configuration(machine: &Machine, buildah: &str) -> Value {
    let said = machine.run(&format!("{buildah} inspect --type image worker"));
    let inspected: Value = serde_json::from_str(&said).unwrap();
    inspected["Docker"]["config"].clone()
}

#[test]
fn it_runs_as_nobody_special_and_offers_the_port_for_browsers_alone() {
    let (machine, buildah) = built();

    let configuration = configuration(&machine, &buildah);

    assert_eq!(configuration["User"], "65532:65532");
    assert_eq!(configuration["ExposedPorts"], json!({"9000/tcp": {}}));
    assert_eq!(configuration["Entrypoint"], json!(["/usr/bin/wavelog_worker"]));
    let environment = configuration["Env"].as_array().unwrap();
    assert!(environment.contains(&json!("WORKER_INTERNAL_BIND=0.0.0.0")), "{environment:?}");
}

#[test]
fn it_holds_one_program_and_certificates_and_is_small() {
    let files = done(Command::new("find").current_dir(made("image")).args([".", "-type", "f"]));

    let mut files: Vec<&str> = files.said.lines().collect();
    files.sort_unstable();
    assert_eq!(
        files,
        [
            "./etc/group",
            "./etc/passwd",
            "./etc/ssl/certs/ca-certificates.crt",
            "./usr/bin/wavelog_worker"
        ]
    );
}

#[test]
fn php_in_another_container_reaches_it_and_browsers_have_the_push() {
    let (machine, buildah) = built();
    let configuration = configuration(&machine, &buildah);
    let container = machine.run(&format!("{buildah} from --pull-never worker"));
    let inside = |environment: &str, command: &Value| {
        let words: Vec<&str> =
            command.as_array().unwrap().iter().map(|word| word.as_str().unwrap()).collect();
        let container = container.trim();
        let isolated = "--isolation chroot --cap-drop all";
        format!("{buildah} run {isolated} {environment} {container} -- {}", words.join(" "))
    };
    let check = configuration["Healthcheck"]["Test"].as_array().unwrap();
    assert_eq!(check[0], "CMD");
    let check = inside("", &json!(check[1..]));
    assert!(!machine.try_run(&check).succeeded, "healthy before it is there");

    let log = machine.path("log");
    let environment = format!("--env WORKER_SECRET={SECRET}");
    machine.start(&inside(&environment, &configuration["Entrypoint"]), &log);
    until("the image to be healthy", || machine.try_run(&check).succeeded.then_some(()));
    // As PHP does, from another address than loopback.
    let tool = format!("WORKER_SECRET={SECRET} {}", env!("CARGO_BIN_EXE_wavelog_worker"));
    let internal = "--internal http://10.9.0.1:9001";
    let pushes = machine.path("pushes");
    let url = "--url ws://10.9.0.1:9000/ws";
    machine.start(&format!("{tool} listen --register {internal} {url} --count 1 a"), &pushes);
    until("the push", || {
        machine.try_run(&format!("{tool} publish {internal} a '\"arrived\"'"));
        fs::read_to_string(&pushes).unwrap().contains("\"arrived\"").then_some(())
    });

    let worker = machine.run("pgrep --full ^/usr/bin/wavelog_worker");
    let status = machine.run(&format!("cat /proc/{}/status", worker.trim()));
    assert!(status.contains("Uid:\t65532\t65532\t65532\t65532"), "{status}");
    machine.run(&format!("kill -TERM {}", worker.trim()));
    until("its end", || fs::read_to_string(&log).unwrap().contains("ended").then_some(()));
}

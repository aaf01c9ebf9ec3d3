"""Checks the files that containers are made of, without a container engine: compose.yaml with .env.example,
scripts/services/compose.yaml and the Dockerfile. Prints every mistake, and exits with 1 if there is one.

What it checks is what this project wants of them: every image pinned, every service with a health check,
nothing published but on 127.0.0.1, no password in a file, every variable known.
"""

import re
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent
LOOPBACK = "127.0.0.1"

TOP_LEVEL_KEYS = {"name", "services", "networks", "volumes", "configs", "secrets", "include"}
SERVICE_KEYS = set(
    "annotations build cap_add cap_drop cgroup command configs container_name cpus depends_on deploy devices "
    "dns entrypoint env_file environment expose extends extra_hosts group_add healthcheck hostname image init "
    "ipc labels logging mem_limit network_mode networks pid pids_limit platform ports privileged profiles "
    "pull_policy read_only restart scale secrets security_opt shm_size stdin_open stop_grace_period stop_signal "
    "sysctls tmpfs tty ulimits user userns_mode volumes working_dir".split()
)
HEALTHCHECK_KEYS = {"test", "interval", "timeout", "retries", "start_period", "start_interval", "disable"}
CONDITIONS = {"service_started", "service_healthy", "service_completed_successfully"}

IMAGE = re.compile(r"^(?P<name>[a-z0-9./_-]+(:\d+/[a-z0-9./_-]+)?)(:(?P<tag>[\w.-]+))?(@sha256:[0-9a-f]{64})?$")
SECRET_NAME = re.compile(r"PASSWORD|PASSWD|SECRET|TOKEN|CREDENTIAL|_AUTH$|(^|_)KEY$", re.IGNORECASE)
# `$$` is a dollar that the shell in the container sees.
VARIABLE = re.compile(r"\$\$|\$\{(?P<name>\w+)(?:(?P<kind>:?[-?+])(?P<rest>[^}]*))?\}|\$(?P<bare>\w+)")
USER_INFO = re.compile(r"\w+://[^\s/@:]*:(?P<password>[^\s/@]+)@")
REQUIRED_ALONE = re.compile(r"^\$\{\w+:\?[^}]*\}$")


class Report:
    """The mistakes found, each with the file and the place in it."""

    def __init__(self):
        self.mistakes = []

    def add(self, file, place, message):
        self.mistakes.append(f"{file}: {place}: {message}")


# --- Reading -------------------------------------------------------------------------------------


class UniqueKeys(yaml.SafeLoader):
    """A key given twice in a mapping is a mistake that YAML readers pass over in silence."""


def mapping_of_unique_keys(loader, node):
    keys = [key.value for key, _ in node.value if key.tag != "tag:yaml.org,2002:merge"]
    for key in keys:
        if keys.count(key) > 1:
            raise yaml.constructor.ConstructorError(None, None, f"{key} is given twice", node.start_mark)
    loader.flatten_mapping(node)
    return loader.construct_mapping(node, deep=True)


UniqueKeys.add_constructor("tag:yaml.org,2002:map", mapping_of_unique_keys)


def read_compose(path, report):
    """The file as a mapping, or None if it cannot be read."""
    try:
        document = yaml.load(path.read_text(), Loader=UniqueKeys)
    except (OSError, yaml.YAMLError) as error:
        report.add(path.name, "file", f"cannot be read: {error}")
        return None
    if not isinstance(document, dict) or not isinstance(document.get("services"), dict):
        report.add(path.name, "file", "has no services")
        return None
    return document


def read_env(path):
    """Names and values of a .env file."""
    values = {}
    for line in path.read_text().splitlines():
        if line.strip() and not line.startswith("#"):
            name, _, value = line.partition("=")
            values[name.strip()] = value.strip()
    return values


def strings_in(value, place=""):
    """Every text in a tree of mappings and lists, with the place where it is."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from strings_in(inner, f"{place}.{key}" if place else str(key))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from strings_in(inner, f"{place}[{number}]")
    elif isinstance(value, str):
        yield place, value


def pairs_of(environment):
    """The environment of a service as pairs, from either of its two notations."""
    if isinstance(environment, dict):
        return [(str(name), "" if value is None else str(value)) for name, value in environment.items()]
    return [tuple((entry + "=").split("=", 2)[:2]) for entry in environment or []]


# --- A compose file ------------------------------------------------------------------------------


def check_compose(path, env_example, host_network, report):
    """Checks one compose file; returns the variables it uses: name -> default, None if required."""
    document = read_compose(path, report)
    if document is None:
        return {}
    file = str(path.relative_to(ROOT))
    services = document["services"]
    for key in document:
        if key not in TOP_LEVEL_KEYS and not str(key).startswith("x-"):
            report.add(file, key, "is not a section of a compose file")
    awaited = {
        target
        for service in services.values()
        for target, how in dependencies_of(service).items()
        if how.get("condition") == "service_completed_successfully"
    }
    for name, service in services.items():
        check_service(file, name, service, services, awaited, host_network, report)
    check_cycles(file, services, report)
    check_declared(file, document, report)
    check_passwords(file, services, report)
    return check_variables(file, document, env_example, report)


def dependencies_of(service):
    """Target -> how, for the long notation; the short one says nothing of a condition."""
    depends = service.get("depends_on") or {}
    return depends if isinstance(depends, dict) else {target: {} for target in depends}


def check_service(file, name, service, services, awaited, host_network, report):
    for key in service:
        if key not in SERVICE_KEYS and not str(key).startswith("x-"):
            report.add(file, name, f"{key} is not a setting of a service")
    check_image(file, name, service.get("image"), report)
    if name in awaited:
        if service.get("restart") != "no":
            report.add(file, name, 'others wait for its end: it needs restart: "no"')
    elif not has_healthcheck(service):
        report.add(file, name, "has no health check, and nothing waits for its end")
    for key in service.get("healthcheck") or {}:
        if key not in HEALTHCHECK_KEYS:
            report.add(file, name, f"healthcheck.{key} is not a setting of a health check")
    for port in service.get("ports") or []:
        if published_address(port) != LOOPBACK:
            report.add(file, name, f"port {port} is published on other addresses than {LOOPBACK}")
    if service.get("network_mode") == "host" and not host_network:
        report.add(file, name, "is in the machine's network, where everything it listens at is published")
    if service.get("privileged"):
        report.add(file, name, "is privileged")
    for target, how in dependencies_of(service).items():
        condition = how.get("condition")
        if target not in services:
            report.add(file, name, f"depends on {target}, which is not a service")
        elif condition not in CONDITIONS:
            report.add(file, name, f"depends on {target} without a condition")
        elif condition == "service_healthy" and not has_healthcheck(services[target]):
            report.add(file, name, f"waits for the health of {target}, which has no health check")


def check_image(file, name, image, report):
    match = IMAGE.match(image or "")
    if not match:
        report.add(file, name, f"has no image that can be read: {image}")
    elif match["tag"] in (None, "latest") and "@" not in image:
        report.add(file, name, f"image {image} is not pinned to a version")


def has_healthcheck(service):
    """Of its own, or that of the image that is built here, which asks the server: it is for `serve` alone."""
    own = service.get("healthcheck")
    if own is None:
        return "build" in service and not service.get("entrypoint") and service.get("command") == ["serve"]
    return bool(own.get("test")) and not own.get("disable")


def published_address(port):
    """Address of this machine at which a port is published; None for every address."""
    if isinstance(port, dict):
        return port.get("host_ip")
    # Ports may be variables, which have colons of their own.
    parts = VARIABLE.sub("0", str(port)).split("/")[0].rsplit(":", 2)
    return parts[0] if len(parts) == 3 else None


def check_cycles(file, services, report):
    done = set()

    def visit(name, path):
        if name in path:
            report.add(file, name, "depends on itself by way of " + " -> ".join(path[path.index(name):]))
            return
        if name in done or name not in services:
            return
        for target in dependencies_of(services[name]):
            visit(target, path + [name])
        done.add(name)

    for name in services:
        visit(name, [])


def check_declared(file, document, report):
    """Named volumes and networks: all that is used is declared, and the other way round."""
    used = {"volumes": set(), "networks": set()}
    for service in document["services"].values():
        for volume in service.get("volumes") or []:
            source = volume.get("source", "") if isinstance(volume, dict) else str(volume).split(":")[0]
            if source and source[0] not in "./~$":
                used["volumes"].add(source)
        used["networks"].update(service.get("networks") or [])
    for section, names in used.items():
        declared = set(document.get(section) or {})
        for name in sorted(names - declared):
            report.add(file, section, f"{name} is used and not declared")
        for name in sorted(declared - names):
            report.add(file, section, f"{name} is declared and not used")


def check_passwords(file, services, report):
    """A password is a required variable, never a text and never with a default."""
    for name, service in services.items():
        for variable, value in pairs_of(service.get("environment")):
            if SECRET_NAME.search(variable) and not REQUIRED_ALONE.match(value):
                report.add(file, name, f"{variable} has to be ${{…:?…}}, which must be set from outside")
        for place, text in strings_in(service, name):
            for match in USER_INFO.finditer(VARIABLE.sub(hide_required, text)):
                if match["password"] != "REQUIRED":
                    report.add(file, place, "a URL holds a password that is not ${…:?…}")


def hide_required(match):
    return "REQUIRED" if match["kind"] == ":?" else match[0]


def check_variables(file, document, env_example, report):
    used = {}
    for place, text in strings_in(document):
        for match in VARIABLE.finditer(text):
            if match[0] == "$$":
                continue
            name, kind = match["name"] or match["bare"], match["kind"]
            if kind not in (":?", ":-"):
                report.add(file, place, f"${name} has to be ${{{name}:?…}} or ${{{name}:-…}}")
                continue
            if kind == ":-" and SECRET_NAME.search(name):
                report.add(file, place, f"{name} is a secret and has a default")
            default = match["rest"] if kind == ":-" else None
            if used.setdefault(name, default) != default:
                report.add(file, place, f"{name} is used with two defaults")
    if env_example is not None:
        check_env_example(file, used, env_example, report)
    return used


def check_env_example(file, used, env_example, report):
    for name, default in used.items():
        if name not in env_example:
            report.add(".env.example", name, f"is missing; {file} uses it")
        elif default is None and env_example[name]:
            report.add(".env.example", name, "must be filled in by whoever uses it, and has a value")
        elif default is not None and env_example[name] != default:
            report.add(".env.example", name, f"is {env_example[name]}; the default in {file} is {default}")
    for name in env_example:
        if name not in used:
            report.add(".env.example", name, f"is not used in {file}")


# --- The Dockerfile ------------------------------------------------------------------------------


def instructions_of(path):
    """Instructions with their arguments, continued lines put together."""
    text = re.sub(r"^\s*#.*\n", "", path.read_text(), flags=re.MULTILINE)
    for line in re.sub(r"\\\n", " ", text).splitlines():
        if line.strip():
            word, _, rest = line.strip().partition(" ")
            yield word.upper(), rest.strip()


def check_dockerfile(path, report):
    stages, user, has_health = [], None, False
    for word, rest in instructions_of(path):
        if word == "FROM":
            words = rest.split()
            base = words[0]
            if base not in stages:
                check_image(path.name, f"FROM {base}", base, report)
            stages.append(words[2] if len(words) == 3 else str(len(stages)))
            user, has_health = None, False
        elif word == "USER":
            user = rest
        elif word == "HEALTHCHECK":
            has_health = rest != "NONE"
        elif word == "COPY":
            source = re.search(r"--from=(\S+)", rest)
            if source and source[1] not in stages:
                report.add(path.name, f"COPY {rest}", f"there is no stage {source[1]}")
        elif word in ("ENV", "ARG"):
            name = re.split(r"[=\s]", rest)[0]
            if SECRET_NAME.search(name):
                report.add(path.name, f"{word} {name}", "a secret would stay in the image")
    if len(stages) < 2:
        report.add(path.name, "FROM", "what compiles and what runs have to be two stages")
    if user is None or user.split(":")[0] in ("root", "0"):
        report.add(path.name, "USER", "the last stage runs as root")
    if not has_health:
        report.add(path.name, "HEALTHCHECK", "the last stage has none")


# --- Main ----------------------------------------------------------------------------------------


def main():
    report = Report()
    env_example = read_env(ROOT / ".env.example")
    check_compose(ROOT / "compose.yaml", env_example, host_network=False, report=report)
    # Started by a script alone, which sets the variables; HDFS listens on 127.0.0.1 by its own settings.
    check_compose(ROOT / "scripts/services/compose.yaml", None, host_network=True, report=report)
    check_dockerfile(ROOT / "Dockerfile", report)
    if not (ROOT / ".dockerignore").exists():
        report.add(".dockerignore", "file", "is missing: all of the folder would go to the builder")
    for mistake in report.mistakes:
        print(mistake, file=sys.stderr)
    if report.mistakes:
        sys.exit(1)
    print("compose.yaml, scripts/services/compose.yaml, .env.example and Dockerfile: in order")


if __name__ == "__main__":
    main()
